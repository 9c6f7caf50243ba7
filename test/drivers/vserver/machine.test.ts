/** On a machine without a number for vserver(2) no system call is made. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { emulatorPath, needsEmulator } from '../../support/emulator.js'

const sources = fileURLToPath(new URL('../../../../native/vserver/', import.meta.url))

void t.test('without a number every command is ENOSYS and no system call is made', needsEmulator(), async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'contextd-test-'))
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  const program = (machine: string) => {
    const [source, out] = [join(folder, `${machine}.cc`), join(folder, machine)]
    writeFileSync(
      source,
      `#include "${sources}commands.h"
      #include <cstdio>
      int main() {
        uint64_t mask = 0;
        vserver::MaskedWord word{};
        int codes[] = {vserver::get_version().code, vserver::ctx_create(100, 0).code, vserver::ctx_migrate(1, 0).code,
                       vserver::task_xid(0).code, vserver::get_cflags(100, &word).code, vserver::get_space_mask(&mask).code};
        for (int code : codes) printf("%d ", code);
      }`
    )
    const define = `-DVSERVER_MACHINE="${machine}"`
    execFileSync('g++', ['-std=c++17', define, '-o', out, source, join(sources, 'commands.cc')])
    return out
  }
  const traced = (machine: string) => {
    const trace = join(folder, `${machine}.trace`)
    writeFileSync(trace, '')
    const stdout = execFileSync(emulatorPath, [`--trace=${trace}`, '--', program(machine)], { encoding: 'utf8' })
    return { stdout, calls: readFileSync(trace, 'utf8').split('\n').filter(Boolean).length }
  }
  t.same(traced('aarch64'), { stdout: '38 38 38 38 38 38 ', calls: 0 }, 'ENOSYS is 38 on every generic architecture')
  t.equal(traced('x86_64').calls, 6, 'the same program where there is a number')
})
