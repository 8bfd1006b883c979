/** The types by which the compiler checks keys and values. */

/** A value that is handed out: change it with `put` or `update`. Dates, Maps and Sets refuse changes at run time too. */
export type DeepReadonly<T> = T extends string | number | boolean | bigint | null | undefined | Date | Uint8Array
  ? T
  : T extends ReadonlyMap<infer K, infer V>
    ? ReadonlyMap<DeepReadonly<K>, DeepReadonly<V>>
    : T extends ReadonlySet<infer M>
      ? ReadonlySet<DeepReadonly<M>>
      : T extends object
        ? { readonly [P in keyof T]: DeepReadonly<T[P]> }
        : T;

/** The keys of the session data. */
export type KeyOf<Data> = keyof Data & string;

/** What may be put under a key. */
export type ValueOf<Data, K extends keyof Data> = Exclude<Data[K] | DeepReadonly<Data[K]>, undefined>;

/** The keys whose declared type has values of type T, or is unknown. */
export type KeyOfType<Data, T> = {
  [K in KeyOf<Data>]-?: unknown extends Data[K] ? K : [Extract<Data[K], T>] extends [never] ? never : K;
}[KeyOf<Data>];
