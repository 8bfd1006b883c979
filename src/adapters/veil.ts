/** What a Node response looks like while it is held: as if what is held back were on its way. */

import type { ServerResponse } from "node:http";
import { isHttp2 } from "./head.ts";

type Method = (...args: unknown[]) => unknown;

/** Under which a response carries its hold; one for all managers. */
export const slot: unique symbol = Symbol("scs-session hold");

/** What stands behind the veil, and is asked instead of the response. */
export interface Veiling {
  /** What a property of the response is to look like. */
  look(name: Progress): unknown;
  /** A method that changes the head was called. */
  changeHead(name: HeadMethod, args: unknown[]): unknown;
}

type Veiled = ServerResponse & { readonly [slot]?: Veiling | undefined };

/** The properties that tell how far a response is. */
export type Progress = "headersSent" | "writableEnded" | "finished" | "writableFinished" | "writableNeedDrain";

/** The methods that change the head, as they were. */
export type HeadMethods = Partial<Record<HeadMethod, Method | undefined>>;
/** Their names. */
export type HeadMethod = "setHeader" | "setHeaders" | "appendHeader" | "removeHeader" | "_implicitHeader";

/** The fields on which HTTP/1 keeps them. */
interface Fields {
  _header?: string | null;
  finished: boolean;
}

// What stands in for the methods and properties of a response is the same for every one, and never taken away: with closures
// of its own each would have another shape, and all code that touches responses would be slow. Express gives each a shape of
// its own all the same, where every property that is added is dear: what can be told by the fields of HTTP/1 is told by them.

/**
 * The head looks sent; what would change it throws. True where HTTP/1 sees to the latter itself.
 *
 * (Node has had the field for ever, and much middleware reads it. Where it tells nothing, as in other runtimes, it is let be.)
 */
export function veilHead(response: ServerResponse): boolean {
  const fields = response as unknown as Fields;
  if (fields._header === null) {
    fields._header = "held back";
    if (response.headersSent) return true;
    fields._header = null;
  }
  veil(response, "headersSent");
  return false;
}

/** The response looks ended. */
export function veilEnd(response: ServerResponse): void {
  veil(response, "writableFinished");
  if (!isHttp2(response)) setFinished(response, true);
  else for (const name of ["writableEnded", "finished"] as const) veil(response, name);
}

/** Takes back what veilHead and veilEnd have set. */
export function unveil(response: ServerResponse): void {
  const fields = response as unknown as Fields;
  if (fields._header === "held back") fields._header = null;
  if (!isHttp2(response)) setFinished(response, false);
}

/** Has a property answer what `look` says. */
export function veil(response: ServerResponse, name: Progress): void {
  Object.defineProperty(response, name, veils[name]);
}

/** Has `changeHead` called for the methods that change the head, and answers what they were. */
export function guardHead(response: ServerResponse): HeadMethods {
  const methods = response as unknown as HeadMethods;
  const { setHeader, setHeaders, appendHeader, removeHeader, _implicitHeader } = methods;
  for (const name of Object.keys(guards) as HeadMethod[]) {
    if (methods[name] !== undefined) methods[name] = guards[name]; // HTTP/2 has fewer
  }
  return { setHeader, setHeaders, appendHeader, removeHeader, _implicitHeader };
}

const veilOf = (name: Progress): PropertyDescriptor => ({
  configurable: true,
  get(this: Veiled): unknown {
    return this[slot]?.look(name);
  },
});
const veils: Record<Progress, PropertyDescriptor> = {
  headersSent: veilOf("headersSent"),
  writableEnded: veilOf("writableEnded"),
  finished: veilOf("finished"),
  writableFinished: veilOf("writableFinished"),
  writableNeedDrain: veilOf("writableNeedDrain"),
};

const guardOf = (name: HeadMethod): Method =>
  function (this: Veiled, ...args) {
    return this[slot]?.changeHead(name, args);
  };
const guards: Record<HeadMethod, Method> = {
  setHeader: guardOf("setHeader"),
  setHeaders: guardOf("setHeaders"),
  appendHeader: guardOf("appendHeader"),
  removeHeader: guardOf("removeHeader"),
  _implicitHeader: guardOf("_implicitHeader"),
};

/** A plain property, on which `writableEnded` depends too. */
function setFinished(response: ServerResponse, finished: boolean): void {
  (response as unknown as Fields).finished = finished;
}
