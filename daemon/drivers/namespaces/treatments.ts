import type { TreatmentTable } from '../treatments.js'

/** What this driver does with each name. What is not yet enforced is unsupported: asking for it is refused. */
export const treatments: TreatmentTable = {
  flags: {
    '*': 'unsupported',
    PERSISTENT: 'enforced',
    INFO_PRIVATE: 'enforced',
    STATE_SETUP: 'enforced',
    STATE_INIT: 'enforced',
    STATE_ADMIN: 'enforced'
  },
  ccaps: { '*': 'unsupported' },
  // CONTEXT is a capability of Linux-VServer kernels only.
  bcaps: { '*': 'new_processes', CONTEXT: 'unsupported' },
  migrate: { '*': 'enforced' },
  uname: { '*': 'unsupported', context: 'enforced', nodename: 'enforced', domainname: 'enforced' },
  stat: { '*': 'enforced', nr_forks: 'unsupported', load: 'unsupported' },
  process: { '*': 'enforced' }
}
