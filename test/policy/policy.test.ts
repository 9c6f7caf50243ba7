/** Policy files that are not understood, and what is compiled from those that are. */
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { PolicyFile } from '../../daemon/policy/file.js'
import { Policy } from '../../daemon/policy/policy.js'
import { actions } from '../../daemon/schemas/policy.js'
import { contextd } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { needsRoot } from '../support/proc.js'

function fileWith(t: Test, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'contextd-test-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const path = join(directory, 'policy.json')
  writeFileSync(path, text, { mode: 0o644 })
  return path
}

const rule = (fields: string) => `{\n  "rules": [\n    {${fields}}\n  ]\n}\n`
const rest = '"actions": ["read"], "contexts": ["all"]'

/** What is wrong, where it is, and what is said. */
const bad: readonly (readonly [text: string, at: string, reason: RegExp])[] = [
  ['', '1:1', /value expected/],
  ['{\n  "rules": [,]\n}', '2:13', /value expected/],
  ['{"rules": []', '1:13', /close brace expected/],
  ['{\n// all\n"rules": []}', '2:1', /invalid comment token/],
  ['{"rules": [],}', '1:14', /property name expected/],
  ['[]', '1:1', /the policy must be object/],
  ['{}', '1:1', /must have required property 'rules'/],
  ['{\n  "rules": {}\n}', '2:3', /rules must be array; expected: a list of rules/],
  ['{\n  "rules": [],\n  "rule": []\n}', '3:3', /unknown field "rule"/],
  [rule(`"users": ["root"],\n "action": [], ${rest}`), '4:2', /rules\.0: unknown field "action"/],
  [rule(rest), '3:5', /rules\.0 names neither users nor groups/],
  [rule(`"users": "root",\n${rest}`), '3:6', /rules\.0\.users must be array; expected: names or ids of users/],
  [rule(`"users": [],\n${rest}`), '3:6', /rules\.0\.users must NOT have fewer than 1 items/],
  [rule(`"users": ["root",\n true],\n${rest}`), '4:2', /rules\.0\.users\.1 must be string,integer/],
  [rule(`"users": [-1], ${rest}`), '3:16', /must be >= 0/],
  [rule(`"users": [4294967295], ${rest}`), '3:16', /must be <= 4294967294/],
  [rule(`"users": ["no-such-user"], ${rest}`), '3:16', /there is no user "no-such-user" in \/etc\/passwd/],
  [rule(`"groups": [0, "no-such-group"], ${rest}`), '3:20', /there is no group "no-such-group" in \/etc\/group/],
  [rule('"users": [0], "contexts": ["all"]'), '3:5', /must have required property 'actions'/],
  [rule('"users": [0], "actions": ["read"]'), '3:5', /must have required property 'contexts'/],
  [
    rule('"users": [0], "actions": ["read",\n\n"write"], "contexts": ["all"]'),
    '5:1',
    /rules\.0\.actions\.1 must be equal to one of the allowed values; expected: all, or some of read, create/
  ],
  ...['"ours"', '"100-"', '"0-10"', '""', '1', '65536', '1.5', 'null'].map(
    (text) =>
      [
        rule(`"users": [0], "actions": ["read"], "contexts": ["own", ${text}]`),
        '3:61',
        /rules\.0\.contexts\.1 must .*; expected: all, own/
      ] as const
  ),
  ...['200-100', '1-10', '100-65536'].map(
    (text) =>
      [
        rule(`"users": [0], "actions": ["read"], "contexts": ["${text}"]`),
        '3:54',
        new RegExp(`"${text}" is no range within 2-65535`)
      ] as const
  )
]

void t.test('a policy that is not understood keeps the daemon from starting, with file, line and column', async (t) => {
  for (const [text, at, reason] of bad) {
    const path = fileWith(t, text)
    let message = ''
    try {
      new PolicyFile(path, true)
    } catch (error) {
      message = (error as Error).message
    }
    t.ok(message.startsWith(`${path}:${at}: `), `${JSON.stringify(text)}: ${message}`)
    t.match(message, reason)
  }
  const path = fileWith(t, '{"rules": 1}')
  const socket = join(path, '..', 'contextd.sock')
  const { code, stderr } = await contextd(['serve', '--driver', 'memory', '--socket', socket, '--policy', path])
  t.equal(code, 1)
  t.match(stderr, `contextd: ${path}:1:2: rules must be array`)
})

void t.test('a policy file that is missing, or that others may write, is refused', needsRoot(), async (t) => {
  const path = fileWith(t, '{"rules": []}')
  const refused = (isOptional: boolean) => {
    try {
      new PolicyFile(path, isOptional)
      return 'nothing'
    } catch (error) {
      return (error as Error).message
    }
  }
  t.equal(refused(true), 'nothing')
  for (const mode of [0o664, 0o646]) {
    chmodSync(path, mode)
    t.match(refused(true), /others than its owner may write it \(mode 6[46]{2}\)/)
  }
  chmodSync(path, 0o644)
  chownSync(path, 65_534, 0)
  t.match(refused(true), /belongs to uid 65534, who could change it/)
  rmSync(path)
  t.equal(refused(true), 'nothing', 'the default one need not be there')
  t.equal(refused(false), `policy ${path}: ENOENT`)
})

void t.test('the policy stays as it was when the file is not understood any more', async (t) => {
  const own = process.getuid?.() ?? 0
  const daemon = await TestDaemon.start('memory', {
    policy: { rules: [{ users: [own], actions: ['read'], contexts: ['all'] }] }
  })
  t.teardown(() => daemon.cleanUp())
  for (const [text, at] of bad) {
    daemon.writePolicy(text)
    await daemon.reload()
    t.match(daemon.stderr, `policy.json:${at}: `)
    t.equal((await daemon.get('/contexts')).status, 200)
    t.equal((await daemon.post('/contexts', { xid: 100 })).status, 403)
  }
  daemon.writePolicy({ rules: [{ users: [own], actions: ['create'], contexts: ['all'] }] })
  await daemon.reload()
  t.equal((await daemon.get('/contexts')).status, 403)
  t.equal((await daemon.post('/contexts', { xid: 100 })).status, 201)
})

const accounts = { users: new Map([['alice', 1000]]), groups: new Map([['web', 2000]]) }
const accessOf = (rules: object[], uid: number, groups: number[] = []) =>
  Policy.parse('policy', JSON.stringify({ rules }), accounts).accessOf({ uid, gid: uid, groups }, (xid) =>
    xid === 7 ? 1000 : xid === 8 ? null : undefined
  )

void t.test('several rules about one peer add up, action by action', async (t) => {
  const access = accessOf(
    [
      { users: ['alice'], actions: ['read'], contexts: ['100-199', '150-250', '251-300', 400] },
      { groups: ['web'], actions: ['read', 'signal'], contexts: ['own'] },
      { users: [1001], actions: ['all'], contexts: ['all'] }
    ],
    1000,
    [2000]
  )
  const readable = Array.from({ length: 500 }, (_, xid) => xid).filter((xid) => access.may('read', xid))
  t.same(readable, [7, ...Array.from({ length: 201 }, (_, i) => 100 + i), 400])
  t.same(
    actions.filter((action) => access.maySome(action)),
    ['read', 'signal']
  )
  t.equal(access.may('signal', 7), true)
  t.equal(access.may('signal', 100), false)
  t.equal(access.may('signal', 9, 1000), true, 'the owner is known already')
  t.equal(access.may('signal', 7, 1001), false)
  t.equal(access.may('signal', 8), false, 'nobody here has made it')
  t.equal(access.mayAll('read'), false)
})

void t.test('all is every action, audit too, and * every user', async (t) => {
  const everybody = accessOf([{ users: ['*'], actions: ['all'], contexts: ['all'] }], 4321)
  t.ok(actions.every((action) => everybody.mayAll(action)))
  const nobody = accessOf([], 0)
  t.notOk(
    actions.some((action) => nobody.maySome(action)),
    'without a rule not even root may'
  )
})

void t.test('the default policy is for root, the own user and the group contextd', async (t) => {
  const policy = Policy.default(500, 77)
  const may = (uid: number, gid: number, groups: number[] = []) =>
    policy.accessOf({ uid, gid, groups }, () => null).mayAll('destroy')
  t.same(
    [may(0, 1), may(500, 1), may(1, 77), may(1, 1, [5, 77]), may(1, 1, [5]), may(77, 1)],
    [true, true, true, true, false, false]
  )
})
