// esri-leaflet in Chromium shows the trees, and all tokens die between its moves:
// `node browser.mjs PAGE LAYER KOOP [PROXY]`. CHROMIUM names the browser.
//
// Prints what the page showed and what the browser saw, as JSON.

import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const [pageUrl, layer, koop, proxy] = process.argv.slice(2);
const fileOf = createRequire(import.meta.url).resolve;

// Where tree 1 stands, and so on.
const places = [[46.9, 7.1], [46.8, 7.2], [46.7, 7.3], [46.6, 7.4], [46.5, 7.5]];
const [near, far] = [13, 9];

const found = { drawn: [], refreshed: [], far: [], answers: 0, odd: [], prompts: [], events: null };

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--no-proxy-server',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  page.on('dialog', (dialog) => {
    found.prompts.push(dialog.message());
    return dialog.dismiss();
  });
  page.on('pageerror', (error) => found.odd.push(String(error)));
  page.on('requestfailed', (request) => found.odd.push(`${request.url()}: ${request.failure().errorText}`));
  const looks = [];
  page.on('response', (response) => {
    if (response.url().startsWith(pageUrl)) return;
    found.answers += 1;
    looks.push(response.text().then((text) => {
      if (response.status() !== 200 || JSON.parse(text).error) found.odd.push(`${response.url()}: ${text}`);
    }));
  });

  await page.goto(pageUrl);
  await page.addStyleTag({ path: fileOf('leaflet/dist/leaflet.css') });
  await page.addScriptTag({ path: fileOf('leaflet/dist/leaflet.js') });
  await page.addScriptTag({ path: fileOf('esri-leaflet/dist/esri-leaflet.js') });
  await page.evaluate(([url, way]) => show(url, way), [layer, proxy]);

  // What is drawn once the layer says that all is loaded, or what went wrong.
  async function after(move, ...how) {
    const before = await page.evaluate('events.loads');
    await page.evaluate(move, how);
    await page.waitForFunction((loads) => {
      const { errors, loginsAskedFor } = events;
      return events.loads > loads || errors.length > 0 || loginsAskedFor > 0;
    }, before);
    return page.evaluate('drawn()');
  }
  async function killAllTokens() {
    const told = await fetch(`${koop}/koop-test/rotate`, { method: 'POST' });
    if (!told.ok) throw new Error(`rotate: ${told.status}`);
  }
  const go = ([place, zoom]) => map.setView(place, zoom, { animate: false });
  const refresh = () => trees.refresh();

  for (const place of places) {
    found.drawn.push(await after(go, place, near));
    await killAllTokens();
    found.refreshed.push(await after(refresh));
    await killAllTokens();
  }
  found.far = await after(go, places[2], far);
  found.events = await page.evaluate('events');
  await Promise.all(looks);
} catch (error) {
  console.error(JSON.stringify(found));
  throw error;
} finally {
  await browser.close();
}
console.log(JSON.stringify(found));
