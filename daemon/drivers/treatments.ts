import type { Treatment, VocabularyKind } from '../vocabulary/treatment.js'

/** For each kind the treatment of every name, `*` for those not listed. */
export type TreatmentTable = Record<VocabularyKind, Record<string, Treatment> & { '*': Treatment }>

export function treatmentOf(table: TreatmentTable, kind: VocabularyKind, name: string): Treatment {
  return table[kind][name] ?? table[kind]['*']
}
