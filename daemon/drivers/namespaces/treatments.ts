import type { TreatmentTable } from '../treatments.js'

/** What this driver does with each name. What is not yet enforced is unsupported: asking for it is refused. */
export const treatments: TreatmentTable = {
  flags: {
    '*': 'unsupported',
    PERSISTENT: 'enforced',
    INFO_PRIVATE: 'enforced',
    SCHED_PAUSE: 'enforced',
    // Those of limits, where the host has the controllers.
    SCHED_HARD: 'enforced',
    SCHED_PRIO: 'enforced',
    INFO_NPROC: 'enforced',
    FORK_RSS: 'enforced',
    SC_HELPER: 'enforced',
    IGNEG_NICE: 'new_processes',
    VIRT_UPTIME: 'at_create',
    // By lxcfs, where it is mounted.
    VIRT_MEM: 'at_create',
    VIRT_CPU: 'at_create',
    VIRT_LOAD: 'at_create',
    HIDE_NETIF: 'at_create',
    // What the namespaces and the cgroup of a context do anyway.
    INFO_INIT: 'always',
    INFO_HIDE: 'always',
    INFO_NSPACE: 'always',
    HIDE_MOUNT: 'always',
    HIDE_VINFO: 'always',
    REBOOT_KILL: 'always',
    STATE_SETUP: 'enforced',
    STATE_INIT: 'enforced',
    STATE_ADMIN: 'enforced'
  },
  ccaps: { '*': 'unsupported' },
  // CONTEXT is a capability of Linux-VServer kernels only.
  bcaps: { '*': 'new_processes', CONTEXT: 'unsupported' },
  migrate: { '*': 'enforced' },
  uname: { '*': 'unsupported', context: 'enforced', nodename: 'enforced', domainname: 'enforced' },
  stat: { '*': 'enforced' },
  process: { '*': 'enforced' },
  limits: { '*': 'enforced' }
}
