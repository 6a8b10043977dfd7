// memjs: binary protocol, promises, several keys on their way at once.
'use strict';
const assert = require('node:assert');
const path = require('node:path');

const folder = path.join(process.env.NODE_FOLDER, 'node_modules', 'memjs');
const { Client } = require(folder);
const { version } = require(path.join(folder, 'package.json'));

let count = 0;
function equal(got, expected, what) {
  assert.deepStrictEqual(got, expected, what);
  count += 1;
}

async function text(client, key) {
  const { value } = await client.get(key);
  return value && value.toString();
}

async function main() {
  const client = Client.create(`127.0.0.1:${process.env.MEMSERVER_PORT}`, { timeout: 10 });
  equal(await client.set('a', '1', {}), true, 'set');
  equal(await text(client, 'a'), '1', 'get');
  equal(await text(client, 'none'), null, 'get of nothing');
  equal(await client.add('a', '2', {}), false, 'add of what exists');
  equal(await client.add('b', '2', {}), true, 'add');
  equal(await client.replace('none', '3', {}), false, 'replace of nothing');
  equal(await client.replace('b', '3', {}), true, 'replace');
  equal(await client.append('b', '4'), true, 'append');
  equal(await client.prepend('b', '2'), true, 'prepend');
  // This version of the client sends an append for a prepend.
  equal(await text(client, 'b'), '342', 'what was put together');
  await assert.rejects(client.append('none', '4'), /not stored/, 'append to nothing');
  count += 1;

  const keys = Array.from({ length: 500 }, (_, index) => `m${index}`);
  const stored = await Promise.all(keys.map((key) => client.set(key, `value of ${key}`, {})));
  equal(stored.every(Boolean), true, 'many sets at once');
  const values = await Promise.all(keys.map((key) => text(client, key)));
  equal(values, keys.map((key) => `value of ${key}`), 'many gets at once');

  equal((await client.increment('n', 5, { initial: 10 })).value, 10, 'increment that creates');
  equal((await client.increment('n', 5, {})).value, 15, 'increment');
  equal((await client.decrement('n', 100, {})).value, 0, 'decrement stops at zero');

  const large = Buffer.alloc(1_000_000, 'abc');
  equal(await client.set('large', large, {}), true, 'large value');
  equal((await client.get('large')).value.equals(large), true, 'large value');
  await assert.rejects(client.set('large', Buffer.alloc(2 << 20), {}), 'too large');
  count += 1;
  equal(await text(client, 'large'), null, 'what was too large is gone');

  equal(await client.set('short', '1', { expires: 1 }), true, 'set with expiry');
  equal(await client.touch('b', 100), true, 'touch');
  const deadline = Date.now() + 5000;
  while ((await text(client, 'short')) !== null && Date.now() < deadline) {
    await new Promise((done) => setTimeout(done, 50));
  }
  equal(await text(client, 'short'), null, 'expired');

  await new Promise((done, failed) => client.stats((error, _, stats) => {
    if (error) failed(error);
    equal(stats.version, '1.6.45', 'stats');
    done();
  }));
  equal(await client.delete('a'), true, 'delete');
  equal(await client.delete('a'), false, 'delete of nothing');
  await new Promise((done) => client.flush(done));
  equal(await text(client, 'b'), null, 'flushed');
  client.close();
  console.log(`memjs ${version}: ${count} checks passed`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
