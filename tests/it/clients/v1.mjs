// Writes with influx, the library for v1: `v1.mjs HOST PORT`. Queries are InfluxQL there.

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
console.log('passed')
