// Writes and queries with influx, the library for v1: `v1.mjs HOST PORT`.

import assert from 'node:assert/strict'
import {InfluxDB} from 'influx'

const [host, port] = process.argv.slice(2)
const client = new InfluxDB({host, port: Number(port), database: 'v1js'})
const [up] = await client.ping(5000)
assert.ok(up.online, 'not online')
assert.ok(up.version, 'no version')
await client.writePoints([
  {measurement: 'home', tags: {room: 'Bath'}, fields: {temp: 20.5}, timestamp: new Date(1000)},
])
await assert.rejects(
  client.writePoints([{measurement: 'home', tags: {}, fields: {temp: '"cold"'}}]),
  /temp/
)
const rows = await client.query('SELECT temp FROM home GROUP BY room')
assert.equal(rows.length, 1)
assert.equal(rows[0].temp, 20.5)
assert.equal(rows[0].room, 'Bath')
assert.equal(rows[0].time.getTime(), 1000)
assert.deepEqual(rows.groups()[0].tags, {room: 'Bath'})
const [bath] = await client.query('SELECT mean(temp) FROM home WHERE room = $room', {
  placeholders: {room: 'Bath'},
})
assert.equal(bath.mean, 20.5)
await client.createDatabase('v1js-new')
assert.ok((await client.getDatabaseNames()).includes('v1js-new'))
await client.dropDatabase('v1js-new')
assert.deepEqual(await client.getMeasurements(), ['home'])
assert.deepEqual(await client.getSeries(), ['home,room=Bath'])
await assert.rejects(client.query('SELECT FROM home'), /parsing/)
console.log('passed')
