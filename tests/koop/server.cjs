// Koop, a GeoServices server, with every service secured: `node server.cjs [PORT]`.
//
// It listens on 127.0.0.1 only and prints `listening on http://127.0.0.1:PORT` once it is ready.
// The services are the files in data/: /arcgis/rest/services/trees/FeatureServer/0/query.
//
// KOOP_PORT               the port; 0 or none: any free one (the argument wins)
// KOOP_TOKEN_MINUTES      how long a token lives, at least 5 (the plugin's own lowest); 60 if not set
// KOOP_TOKEN_SECRET       what tokens are signed with; random if not set
// KOOP_USERS              the user store, read anew at every login; users.json beside this file
// KOOP_EXIT_WITH_STDIN=1  end when standard input closes, so that no server outlives its test
// KOOP_LOG=1              Koop's own log, on standard error
//
// Beside Koop itself, for tests:
// POST /koop-test/rotate  sign with another secret from now on: all tokens given out so far are dead
// POST /koop-test/rotate-every/N  from now on do so after every N queries; 0 ends it
// GET  /koop-test/stats   what was asked so far, as JSON
'use strict';

// Koop's `config` package says on standard error that it found no files, which is as it should be.
process.env.SUPPRESS_NO_CONFIG_WARNING = '1';

const crypto = require('node:crypto');
const http = require('node:http');
const path = require('node:path');

const users = path.resolve(process.env.KOOP_USERS || path.join(__dirname, 'users.json'));
// The provider takes its data directory from the working directory.
process.chdir(__dirname);

const Koop = require('@koopjs/koop-core');
const provider = require('@koopjs/provider-file-geojson');
const auth = require('@koopjs/auth-direct-file');

function whole(name, text, least, most) {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < least || number > most) {
    console.error(`${name} must be a whole number from ${least} to ${most}, not ${JSON.stringify(text)}`);
    process.exit(2);
  }
  return number;
}

const port = whole('the port', process.argv[2] || process.env.KOOP_PORT || '0', 0, 65535);
const tokenExpirationMinutes = whole(
  'KOOP_TOKEN_MINUTES',
  process.env.KOOP_TOKEN_MINUTES || '60',
  5,
  60 * 24 * 365,
);

const random = () => crypto.randomBytes(32).toString('hex');

// The plugin keeps its settings in the module: setting it up again changes the secret of the one
// that is registered.
const setUp = (secret) => auth(secret, users, { useHttp: true, tokenExpirationMinutes });

const verbose = process.env.KOOP_LOG === '1';
const log = (level) => (message) => {
  if (verbose) console.error(`${level}: ${message?.message ?? message}`);
};
const logger = Object.fromEntries(
  ['error', 'warn', 'info', 'http', 'verbose', 'debug', 'silly'].map((level) => [level, log(level)]),
);

const koop = new Koop({ logger });
// The plugin first: a provider takes the plugin that is there when it is registered.
koop.register(setUp(process.env.KOOP_TOKEN_SECRET || random()));
koop.register(provider, { name: 'arcgis', dataDir: 'data' });

const stats = {
  requests: 0,
  restInfo: 0,
  generateToken: 0,
  generateTokenByMethod: {},
  query: 0,
  passwordInUrl: 0,
  rotations: 0,
};

function count(request) {
  const [where, query = ''] = request.url.split('?');
  stats.requests += 1;
  if (where === '/arcgis/rest/info') stats.restInfo += 1;
  if (where.endsWith('/query')) stats.query += 1;
  if (new URLSearchParams(query).has('password')) stats.passwordInUrl += 1;
  if (where === '/arcgis/rest/generateToken') {
    stats.generateToken += 1;
    stats.generateTokenByMethod[request.method] = (stats.generateTokenByMethod[request.method] ?? 0) + 1;
  }
}

let rotateEvery = 0;
let queriesUntilRotation = 0;

function rotate() {
  setUp(random());
  stats.rotations += 1;
}

function rotateIfDue(request) {
  if (rotateEvery === 0 || !request.url.split('?')[0].endsWith('/query')) return;
  if (queriesUntilRotation === 0) {
    rotate();
    queriesUntilRotation = rotateEvery;
  }
  queriesUntilRotation -= 1;
}

function ownPath(request, response) {
  const asked = `${request.method} ${request.url}`;
  if (asked === 'POST /koop-test/rotate') {
    rotate();
    response.writeHead(204).end();
  } else if (/^POST \/koop-test\/rotate-every\/\d+$/.test(asked)) {
    rotateEvery = Number(asked.split('/').at(-1));
    queriesUntilRotation = rotateEvery;
    response.writeHead(204).end();
  } else if (asked === 'GET /koop-test/stats') {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(stats));
  } else {
    response.writeHead(404).end();
  }
}

const server = http.createServer((request, response) => {
  if (request.url.startsWith('/koop-test/')) {
    request.resume();
    ownPath(request, response);
  } else {
    count(request);
    rotateIfDue(request);
    koop.server(request, response);
  }
});

server.on('error', (error) => {
  console.error(`cannot listen on 127.0.0.1:${port}: ${error.message}`);
  process.exit(1);
});
server.listen(port, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
if (process.env.KOOP_EXIT_WITH_STDIN === '1') {
  process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
}
