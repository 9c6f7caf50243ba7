/** How a driver treats a name: SPECIFICATION.md, "Vocabulary". */
export const treatments = ['enforced', 'always', 'at_create', 'new_processes', 'recorded', 'unsupported'] as const
export type Treatment = (typeof treatments)[number]

export const vocabularyKinds = ['flags', 'ccaps', 'bcaps', 'migrate', 'uname', 'stat', 'process', 'limits'] as const
export type VocabularyKind = (typeof vocabularyKinds)[number]
