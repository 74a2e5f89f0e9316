// Writes and queries with a token, by the libraries for v3 and v1:
// `tokens.mjs HOST PORT TOKEN [CERTIFICATE]`. The token may read, write and create any database.
// With a certificate the connections are encrypted; what trusts it is set in the environment.

import assert from 'node:assert/strict'
import {InfluxDBClient} from '@influxdata/influxdb3-client'
import {InfluxDB} from 'influx'

const [host, port, token, certificate] = process.argv.slice(2)
const protocol = certificate ? 'https' : 'http'
const url = `${protocol}://${host}:${port}`
const v3 = (token) => new InfluxDBClient({host: url, token, database: 'js'})

const client = v3(token)
await client.write('home,room=Bath temp=20.5 1')
const found = []
for await (const row of client.query('SELECT temp FROM home', 'js')) found.push(row.temp)
assert.deepEqual(found, [20.5])
await client.close()

const stranger = v3('wrong')
await assert.rejects(stranger.write('home temp=1 1'), /401|authenticated/)
await assert.rejects(async () => {
  for await (const row of stranger.query('SELECT 1', 'js')) assert.fail(row)
}, /nauthenticated/i)
await stranger.close()

const v1 = (password) => {
  const where = {host, port: Number(port), protocol, database: 'v1js'}
  return new InfluxDB({...where, username: 'anybody', password})
}
await v1(token).writePoints([{measurement: 'home', fields: {temp: 2}, timestamp: new Date(1000)}])
const [row] = await v1(token).query('SELECT temp FROM home')
assert.equal(row.temp, 2)
await assert.rejects(v1('wrong').query('SELECT temp FROM home'), /401|Unauthorized/i)
console.log('passed')
