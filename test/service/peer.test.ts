/** Supplementary groups where the socket does not have them (before Linux 4.13). */
import t from 'tap'
import { readFileSync } from 'node:fs'
import { groupsInStatus } from '../../daemon/service/peer.js'

const status = (uid: string, gid: string, groups: string) =>
  `Name:\tcurl\nUid:\t${uid}\nGid:\t${gid}\nFDSize:\t64\nGroups:\t${groups}\nNStgid:\t1\n`

void t.test("the groups of /proc/PID/status are a peer's", async (t) => {
  const ours = readFileSync('/proc/self/status', 'utf8')
  t.same(
    groupsInStatus(ours, { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }),
    [...new Set(process.getgroups?.())].filter((gid) => new RegExp(`^Groups:.*\\b${gid}\\b`, 'm').test(ours))
  )
  const of = (groups: string) => groupsInStatus(status('5\t5\t5\t5', '6\t6\t6\t6', groups), { uid: 5, gid: 6 })
  t.same(of('6 7 4294967294 '), [6, 7, 4294967294])
  t.same(of(' '), [])
})

void t.test('a peer that has become somebody else since it connected has none', async (t) => {
  const who = { uid: 5, gid: 6 }
  t.same(groupsInStatus(status('5\t0\t0\t0', '6\t6\t6\t6', '0 27'), who), [], 'by a set-user-ID program')
  t.same(groupsInStatus(status('5\t5\t5\t5', '6\t27\t27\t27', '0 27'), who), [], 'by a set-group-ID program')
})
