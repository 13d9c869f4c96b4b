// A client meets every challenge there is. Needs `arcgis-stand-in` on the PATH, or its path in STAND_IN.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

/** Put yours here: the layers of a secured service, after a login if they do not come. */
async function clientUnderTest(root) {
  const query = new URLSearchParams({ f: "json" });
  for (let attempt = 0; attempt < 2; attempt++) {
    const answer = await fetch(`${root}/rest/services/Parcels/MapServer?${query}`);
    // Whatever a challenge looks like, it has no layers.
    const { layers } = await answer.json().catch(() => ({}));
    if (layers) return layers;
    const body = new URLSearchParams({ username: "ada", password: "s3cret", f: "json" });
    const login = await fetch(`${root}/tokens/generateToken`, { method: "POST", body });
    query.set("token", (await login.json()).token);
  }
  throw new Error("no layers after a login");
}

let arcgis;
let origin;

before(async () => {
  const program = process.env.STAND_IN ?? "arcgis-stand-in";
  const user = ["--username", "ada", "--password", "s3cret"];
  arcgis = spawn(program, ["--listen", "127.0.0.1:0", ...user], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  // listening on http://127.0.0.1:PORT
  const [line] = await once(createInterface(arcgis.stdout), "line");
  origin = line.split(" ").at(-1);
});

after(() => arcgis.kill());

const read = async (name) => (await fetch(`${origin}/stand-in/${name}`)).json();

async function control(name, fields = {}) {
  const body = new URLSearchParams(fields);
  const answer = await fetch(`${origin}/stand-in/${name}`, { method: "POST", body });
  assert.equal(answer.status, 200, await answer.text());
}

test("the client logs in once at every challenge", async (t) => {
  for (const shape of await read("challenges")) {
    await t.test(shape, async () => {
      await control("reset");
      await control("challenge", { shape });
      await clientUnderTest(`${origin}/arcgis`);
      assert.equal((await read("counters")).logins, 1);
    });
  }
});
