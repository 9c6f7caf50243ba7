/** Every setting of `contextd serve`, with its flag, key in the file, default and range. */
import { flagOf, keyOf, limitNames, limitSettings, type LimitName } from './admission/limits.js'

export interface Setting {
  flag: string
  /** Key in the file; CONTEXTD_ and the same in capitals is the variable. */
  key: string
  placeholder: string
  help: string
  fallback: string | undefined
  devFallback?: string
  choices?: readonly string[]
  /** May be given again; in the file also an array. */
  multiple?: true
  /** A whole number from the first to the second; K, M or G are for powers of 1024. */
  range?: readonly [number, number]
}

const ofLimit = (name: LimitName): Setting => {
  const { help, fallback, range } = limitSettings[name]
  return { flag: flagOf(name), key: keyOf(name), placeholder: 'N', help, fallback: String(fallback), range }
}
const ofLimits = Object.fromEntries(limitNames.map((name) => [name, ofLimit(name)])) as Record<LimitName, Setting>

export const settings = {
  socket: {
    flag: 'socket',
    key: 'socket',
    placeholder: 'PATH[,policy=FILE][,mode=0660][,group=NAME]',
    help: 'Unix socket to serve; may be repeated, each with its own policy',
    multiple: true,
    fallback: '/run/contextd/contextd.sock',
    devFallback: 'run/contextd.sock'
  },
  driver: {
    flag: 'driver',
    key: 'driver',
    placeholder: 'NAME',
    help: 'auto takes the first real one that works',
    fallback: 'auto',
    choices: ['auto', 'vserver', 'namespaces', 'memory']
  },
  policy: {
    flag: 'policy',
    key: 'policy',
    placeholder: 'FILE',
    help: 'who may do what; without the default file root and the group contextd everything',
    fallback: '/etc/contextd/policy.json',
    devFallback: 'run/policy.json'
  },
  allowedHost: {
    flag: 'allowed-host',
    key: 'allowed_host',
    placeholder: 'NAME',
    help: 'Host header that is served beside names without a dot and addresses of loopback; may be repeated',
    multiple: true,
    fallback: undefined
  },
  auditLog: {
    flag: 'audit-log',
    key: 'audit_log',
    placeholder: 'PATH',
    help: 'one JSON line for every write and denial',
    fallback: '/var/log/contextd/audit.log',
    devFallback: 'run/audit.log'
  },
  auditFailure: {
    flag: 'audit-failure',
    key: 'audit_failure',
    placeholder: 'WHAT',
    help: 'when a line cannot be written: refuse the write with 503, or continue without',
    fallback: 'refuse',
    choices: ['refuse', 'continue']
  },
  logLevel: {
    flag: 'log-level',
    key: 'log_level',
    placeholder: 'LEVEL',
    help: 'least level logged to stderr',
    fallback: 'info',
    choices: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']
  },
  guestLog: {
    flag: 'guest-log',
    key: 'guest_log',
    placeholder: 'KIND',
    help: 'where output of guests goes that is not captured',
    fallback: 'file',
    choices: ['file', 'journal', 'none']
  },
  logDir: {
    flag: 'log-dir',
    key: 'log_dir',
    placeholder: 'PATH',
    help: 'directory of the files',
    fallback: '/var/log/contextd/guests',
    devFallback: 'run/log'
  },
  captureMemory: {
    flag: 'capture-memory',
    key: 'capture_memory',
    placeholder: 'BYTES',
    help: 'captured output of all processes that is held at a time, such as 64M',
    fallback: '32M',
    range: [1_048_576, 2 ** 40]
  },
  defaultPidsMax: {
    flag: 'default-pids-max',
    key: 'default_pids_max',
    placeholder: 'N',
    help: 'processes and threads of a context that has no limit of its own; 0: no limit',
    fallback: '16384',
    range: [0, 4_194_304]
  },
  logSize: {
    flag: 'log-size',
    key: 'log_size',
    placeholder: 'BYTES',
    help: 'of one file of a context, such as 512K or 10M',
    fallback: '10M',
    // A file has room for what a launcher writes at once: native/launcher/protocol/spec.h.
    range: [65_536, 2 ** 31 - 1]
  },
  logFiles: {
    flag: 'log-files',
    key: 'log_files',
    placeholder: 'N',
    help: 'files kept of a context, the current one included',
    fallback: '2',
    range: [1, 99]
  },
  journalSocket: {
    flag: 'journal-socket',
    key: 'journal_socket',
    placeholder: 'PATH',
    help: 'of the journal',
    fallback: '/run/systemd/journal/socket'
  },
  cgroupRoot: {
    flag: 'cgroup-root',
    key: 'cgroup_root',
    placeholder: 'PATH',
    help: 'cgroup v2 directory for contexts, absolute or below the first cgroup2 mount (default: what systemd has delegated, else contextd)',
    fallback: undefined
  },
  procVirtual: {
    flag: 'proc-virtual',
    key: 'proc_virtual',
    placeholder: 'PATH',
    help: 'where a Linux-VServer kernel lists its contexts',
    fallback: '/proc/virtual'
  },
  stateDir: {
    flag: 'state-dir',
    key: 'state_dir',
    placeholder: 'PATH',
    help: 'what a Linux-VServer kernel does not keep of contexts; must not outlive a restart of the host',
    fallback: '/run/contextd/vserver',
    devFallback: 'run/vserver'
  },
  helper: {
    flag: 'helper',
    key: 'helper',
    placeholder: 'PATH',
    help: 'program to run as `PATH ACTION XID` when a guest calls reboot(2), or with SC_HELPER starts and ends',
    fallback: undefined
  },
  eventHistory: {
    flag: 'event-history',
    key: 'event_history',
    placeholder: 'N',
    help: 'events kept for readers that come back',
    fallback: '4096',
    range: [1024, 65_536]
  },
  ...ofLimits,
  contextMetrics: {
    flag: 'context-metrics',
    key: 'context_metrics',
    placeholder: 'on|off',
    help: 'tasks and load of each context in /metrics',
    fallback: 'off',
    choices: ['on', 'off']
  }
} satisfies Record<string, Setting>
