/** The table of system call numbers. */
import t from 'tap'
import { vserver } from '../../daemon/drivers/native.js'

void t.test('each architecture has the number that Linux-VServer got there', async (t) => {
  const numbers: Record<string, number> = {
    x86_64: 236,
    i386: 273,
    arm: 313,
    ppc: 257,
    ppc64: 257,
    s390: 263,
    s390x: 263,
    sparc: 267,
    parisc: 263,
    alpha: 428,
    ia64: 1269,
    mips: 4277,
    mips64: 5236,
    mipsn32: 6240
  }
  for (const [machine, number] of Object.entries(numbers)) t.equal(vserver.numberOn(machine), number, machine)
})

void t.test('those with the generic table have none', async (t) => {
  for (const machine of ['aarch64', 'arm64', 'riscv64', 'loongarch64', '', 'x86', 'x86_64 '])
    t.equal(vserver.numberOn(machine), -1, machine)
})
