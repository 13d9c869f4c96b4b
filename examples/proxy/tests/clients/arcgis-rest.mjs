// ArcGIS REST JS asks for the trees in every way it has, and all tokens die between: `node arcgis-rest.mjs LAYER KOOP`.
//
// Prints what it found, as JSON. What it throws is a failed test: an ArcGISAuthError for a 498 or 499.

import { getLayer, queryAllFeatures, queryFeatures } from '@esri/arcgis-rest-feature-service';
import { request } from '@esri/arcgis-rest-request';

const [url, koop] = process.argv.slice(2);

async function tell(what) {
  const told = await fetch(`${koop}/koop-test/${what}`, { method: 'POST' });
  if (!told.ok) throw new Error(`${what}: ${told.status}`);
}

const ids = ({ features }) => features.map(({ attributes }) => attributes.id);
const found = {};

found.layer = (await getLayer({ url })).name;

await tell('rotate');
found.get = ids(await queryFeatures({ url, orderByFields: 'id' }));

await tell('rotate');
const form = { where: '1=1', outFields: '*', orderByFields: 'id' };
found.post = ids(await request(`${url}/query`, { httpMethod: 'POST', params: form }));

found.pages = [];
for (let more = true; more; ) {
  await tell('rotate');
  const resultOffset = found.pages.flat().length;
  const page = await queryFeatures({ url, orderByFields: 'id', resultOffset, resultRecordCount: 2 });
  found.pages.push(ids(page));
  more = page.exceededTransferLimit === true;
}

// The query that finds its token dead, and the same one again.
await tell('rotate-every/2');
found.all = ids(await queryAllFeatures({ url, orderByFields: 'id', resultRecordCount: 2 }));
await tell('rotate-every/0');

await tell('rotate');
found.pbf = ids(await queryFeatures({ url, orderByFields: 'id', f: 'pbf-as-arcgis' }));

await tell('rotate');
const oaks = () => queryFeatures({ url, where: "species = 'oak'", returnCountOnly: true });
const counts = await Promise.all(Array.from({ length: 500 }, oaks));
found.oaks = counts.map(({ count }) => count);

console.log(JSON.stringify(found));
