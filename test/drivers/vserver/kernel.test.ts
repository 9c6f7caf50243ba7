/** What is told of a kernel: its words decoded, and which names it acts on (ABI 2.3, and the one before). */
import t from 'tap'
import { configurationNames, formatVersion } from '../../../daemon/drivers/vserver/kernel.js'
import { treatmentsOf } from '../../../daemon/drivers/vserver/treatments.js'
import { ccaps } from '../../../daemon/vocabulary/ccaps.js'
import { flags } from '../../../daemon/vocabulary/flags.js'

void t.test('a version word is written as people write it', async (t) => {
  t.equal(formatVersion(0x00020308), '2.3.8')
  t.equal(formatVersion(0x00020200), '2.2.0')
})

void t.test('the configuration word has names', async (t) => {
  const observed = ['NO_DYNAMIC', 'COWBL', 'FULLCOWBL', 'SPACES', 'NETV2', 'MEMCG', 'PPTAG']
  t.same(configurationNames(0x10001f01), observed, 'as observed on 4.9.337')
  t.same(configurationNames(0), [])
  t.same(configurationNames(0x03110010), ['PROC_SECURE', 'DEBUG', 'HISTORY', 'TAGGED_ID24'])
  t.same(configurationNames(0x07000000), ['TAGGED_OTHER'])
})

const treatedAs = (abi: 'seed' | 'vs2.3', kind: 'flags' | 'ccaps', treatment: string) => {
  const table = treatmentsOf(abi)[kind]
  return (kind === 'flags' ? flags : ccaps).rows.map(({ name }) => name).filter((name) => table[name] === treatment)
}

void t.test('of ABI 2.3 the flags and ccaps with an effect are enforced, the others kept', async (t) => {
  t.same(treatedAs('vs2.3', 'flags', 'enforced').toSorted(), [
    'HIDE_MOUNT',
    'HIDE_VINFO',
    'IGNEG_NICE',
    'INFO_INIT',
    'INFO_PRIVATE',
    'PERSISTENT',
    'REBOOT_KILL',
    'SC_HELPER',
    'STATE_ADMIN',
    'STATE_INIT',
    'STATE_SETUP',
    'VIRT_CPU',
    'VIRT_LOAD',
    'VIRT_MEM',
    'VIRT_TIME',
    'VIRT_UPTIME'
  ])
  t.same(treatedAs('vs2.3', 'ccaps', 'enforced').toSorted(), [
    'ADMIN_CLOOP',
    'ADMIN_MAPPER',
    'AUDIT_CONTROL',
    'BINARY_MOUNT',
    'DEV_MOUNT',
    'FS_SECURITY',
    'FS_TRUSTED',
    'KTHREAD',
    'NAMESPACE',
    'OOM_ADJUST',
    'QUOTA_CTL',
    'SECURE_MOUNT',
    'SET_RLIMIT',
    'SET_UTSNAME',
    'SYSLOG',
    'TIOCSTI'
  ])
  for (const kind of ['flags', 'ccaps'] as const) t.same(treatedAs('vs2.3', kind, 'unsupported'), [])
  t.same(treatedAs('vs2.3', 'ccaps', 'recorded'), ['RAW_ICMP', 'SECURE_REMOUNT'])
})

void t.test("the seed's ABI has its own ccaps, and none of those that came later", async (t) => {
  t.same(treatedAs('seed', 'ccaps', 'enforced').length, 10)
  for (const name of ['RAW_ICMP', 'SECURE_REMOUNT']) t.ok(treatedAs('seed', 'ccaps', 'enforced').includes(name))
  for (const name of ['TIOCSTI', 'DEV_MOUNT']) t.ok(treatedAs('seed', 'ccaps', 'unsupported').includes(name))
})
