const SOURCE = 'libvserver vserver.h, uname(2)'

/** The virtual system information a context has, VHIN_*, in the order of their ids. */
export const unameFields = [
  {
    name: 'context',
    constant: 'VHIN_CONTEXT',
    id: 0,
    meaning: 'Label of the context, not seen by its uname(2)',
    source: 'libvserver vserver.h'
  },
  { name: 'sysname', constant: 'VHIN_SYSNAME', id: 1, meaning: 'Operating system name', source: SOURCE },
  { name: 'nodename', constant: 'VHIN_NODENAME', id: 2, meaning: 'Name of the node on the network', source: SOURCE },
  { name: 'release', constant: 'VHIN_RELEASE', id: 3, meaning: 'Operating system release', source: SOURCE },
  { name: 'version', constant: 'VHIN_VERSION', id: 4, meaning: 'Operating system version', source: SOURCE },
  { name: 'machine', constant: 'VHIN_MACHINE', id: 5, meaning: 'Hardware type identifier', source: SOURCE },
  { name: 'domainname', constant: 'VHIN_DOMAINNAME', id: 6, meaning: 'NIS or YP domain name', source: SOURCE }
] as const

export type UnameField = (typeof unameFields)[number]['name']

/** Bytes of UTF-8, without the terminator: the kernel's fields are char[65] (__NEW_UTS_LEN). */
export const UNAME_MAX = 64

/** Why the value cannot be stored and read back as it is, or undefined when it can. The empty string can. */
export function checkUnameValue(value: string): string | undefined {
  if (value.includes('\0')) return 'has a NUL character'
  // A surrogate without its pair would be stored as U+FFFD, and no longer compare equal when read.
  if (/\p{Surrogate}/u.test(value)) return 'is not valid Unicode'
  const bytes = Buffer.byteLength(value, 'utf8')
  return bytes > UNAME_MAX ? `has ${bytes} bytes in UTF-8, the limit is ${UNAME_MAX}` : undefined
}
