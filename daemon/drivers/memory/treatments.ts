import type { TreatmentTable } from '../treatments.js'

/** The kernel itself keeps every word and acts on few; the model has no kernel to act on the rest. */
export const treatments: TreatmentTable = {
  flags: {
    '*': 'recorded',
    PERSISTENT: 'enforced',
    INFO_PRIVATE: 'enforced',
    SCHED_PAUSE: 'enforced',
    STATE_SETUP: 'enforced',
    STATE_INIT: 'enforced',
    STATE_ADMIN: 'enforced'
  },
  ccaps: { '*': 'recorded' },
  bcaps: { '*': 'recorded' },
  migrate: { '*': 'enforced' },
  uname: { '*': 'enforced' },
  stat: { '*': 'enforced', load: 'unsupported' },
  process: {
    '*': 'enforced',
    stdin: 'recorded',
    user: 'recorded',
    umask: 'recorded',
    rlimits: 'recorded',
    cwd: 'recorded',
    env: 'recorded'
  },
  limits: { '*': 'recorded' }
}
