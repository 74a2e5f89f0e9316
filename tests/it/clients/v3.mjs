// Writes and queries with @influxdata/influxdb3-client: `v3.mjs URL`.

import assert from 'node:assert/strict'
import {InfluxDBClient, Point} from '@influxdata/influxdb3-client'

const client = new InfluxDBClient({host: process.argv[2], token: 'any', database: 'js'})

async function rows(query, options) {
  const found = []
  for await (const row of client.query(query, 'js', options)) found.push(row)
  return found
}

await client.write('home,room=Kitchen temp=21.5,n=3i 1\nhome,room=Bath temp=22.5 2')
await client.write(
  Point.measurement('home').setTag('room', 'Hall').setFloatField('temp', 1.25).setTimestamp(3n)
)

const all = await rows('SELECT room, temp, n FROM home ORDER BY time')
assert.deepEqual(all.map((row) => [row.room, row.temp]), [
  ['Kitchen', 21.5],
  ['Bath', 22.5],
  ['Hall', 1.25],
])
assert.equal(BigInt(all[0].n), 3n)
const hall = await rows('SELECT temp FROM home WHERE room = $room', {
  type: 'sql',
  params: {room: 'Hall'},
})
assert.deepEqual(hall.map((row) => row.temp), [1.25])

// Tags and fields are told apart by the metadata of the columns.
const points = []
for await (const point of client.queryPoints('SELECT * FROM home WHERE room = \'Bath\'', 'js')) {
  points.push(point)
}
assert.equal(points.length, 1)
assert.equal(points[0].getTag('room'), 'Bath')
assert.equal(points[0].getFloatField('temp'), 22.5)
assert.equal(points[0].getFloatField('room'), undefined)

await assert.rejects(rows('SELECT nope FROM home'), /nope/)
await assert.rejects(client.write('home,room=Bath temp="cold" 9'), /temp/)

const lines = []
for (let i = 0; i < 100_000; i++) lines.push(`m i=${i}i ${i + 1}`)
await client.write(lines)
let next = 0n
for await (const row of client.query('SELECT i FROM m ORDER BY i', 'js')) {
  assert.equal(BigInt(row.i), next)
  next += 1n
}
assert.equal(next, 100_000n)

const counts = Array.from({length: 16}, () => rows('SELECT count(*) AS n FROM m'))
for (const [row] of await Promise.all(counts)) assert.equal(BigInt(row.n), 100_000n)
await client.close()
console.log('passed')
