/** Server-side HTTP sessions for TypeScript. */

export { SessionManager } from "./manager.ts";
export type { CommitResult, ListedSession, LoadOptions, OfSubject } from "./results.ts";
export type { ReadonlySession, Session, SessionOf, SessionStatus } from "./session.ts";
export type { SessionOptions } from "./options.ts";
export { cookie, type CookieOptions } from "./cookie.ts";
export { header, type Credential, type IncomingRequest, type ResponseHeaders, type Transport } from "./transport.ts";
export type { Attachment, AttachmentEnd, AttachOptions } from "./attachment.ts";
export type { Origins, UpgradeRequest } from "./upgrade.ts";
export type { Exchange } from "./exchange.ts";
export { defaultCodec, type Codec, type CodecContext, type SessionRecord } from "./codec.ts";
export type { CallOptions, ReplaceAnswer, SessionToStore, Store, StoredSession } from "./store.ts";
export { MemoryStore, type MemoryStoreOptions } from "./stores/memory.ts";
export { SessionError, type SessionErrorCode } from "./errors.ts";
export { subscribe, type SessionEvent } from "./events.ts";
export type { Clock } from "./clock.ts";
export type { Duration } from "./duration.ts";
export type { DeepReadonly, KeyOf, KeyOfType, ValueOf } from "./types.ts";
