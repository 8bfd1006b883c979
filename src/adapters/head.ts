/** The head of a Node response: how it is remembered and restored, what the core writes into it, and what Node refuses. */

import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { ResponseHeaders } from "../transport.ts";

/** What a response looked like when the request came in; it looks so again when a commit fails. */
export interface Head {
  readonly status: Status;
  readonly sendDate: boolean;
  readonly headers: OutgoingHttpHeaders;
}

/** The first line of a response. */
interface Status {
  readonly statusCode: number;
  readonly statusMessage: string | undefined;
}

/** The head of a response as it is now. */
export function headOf(response: ServerResponse): Head {
  // Most have none yet, and copying what is not there takes as long as all the rest.
  const headers = response.getHeaderNames().length === 0 ? {} : response.getHeaders();
  // Some (the cookies of Koa) append to a list in place.
  for (const [name, value] of Object.entries(headers)) if (Array.isArray(value)) headers[name] = [...value];
  return { status: statusOf(response), sendDate: response.sendDate, headers };
}

/** The status of a response as it is now. HTTP/2 has no message, and warns where one is read. */
export function statusOf(response: ServerResponse): Status {
  return { statusCode: response.statusCode, statusMessage: isHttp2(response) ? undefined : response.statusMessage };
}

/** Whether it is a response of node:http2, in the shape of node:http. */
export function isHttp2(response: ServerResponse): boolean {
  return "stream" in response;
}

/** Gives a response the head that it had before. */
export function restoreHead(response: ServerResponse, { headers, status, sendDate }: Head): void {
  for (const name of response.getHeaderNames()) if (!(name in headers)) response.removeHeader(name);
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && response.getHeader(name) !== value) response.setHeader(name, value);
  }
  response.addTrailers({});
  response.sendDate = sendDate;
  restoreStatus(response, status);
}

/** Gives a response the status that it had before. */
export function restoreStatus(response: ServerResponse, { statusCode, statusMessage }: Status): void {
  response.statusCode = statusCode;
  if (!isHttp2(response)) (response as { statusMessage: string | undefined }).statusMessage = statusMessage;
}

/** The headers of a Node response, as the core writes them. */
export class NodeHeaders implements ResponseHeaders {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  get(name: string): string | null {
    const value = this.#response.getHeader(name);
    return value === undefined ? null : Array.isArray(value) ? value.join(", ") : String(value);
  }

  set(name: string, value: string): void {
    this.#response.setHeader(name, value);
  }

  append(name: string, value: string): void {
    const present = this.#response.getHeader(name);
    this.#response.setHeader(name, present === undefined ? value : [present, value].flat().map(String));
  }

  delete(name: string): void {
    this.#response.removeHeader(name);
  }
}

/**
 * Sets what writeHead was given on the response, where the core can see it and Node checks it at once. Returns what is left
 * of the arguments.
 */
export function foldHead(response: ServerResponse, [status, second, third]: unknown[]): unknown[] {
  const statusCode = Number(status) | 0;
  checkStatusCode(statusCode, status);
  const reason = typeof second === "string" ? second : undefined;
  const headers = (reason === undefined ? (second ?? third) : third) as
    Record<string, OutgoingHttpHeader> | unknown[] | null | undefined;
  response.statusCode = statusCode;
  if (Array.isArray(headers)) {
    const pairs = Array.isArray(headers[0]) ? headers.flat() : headers;
    if (pairs.length % 2 !== 0) {
      throw coded(new TypeError("The headers have a name without a value."), "ERR_INVALID_ARG_VALUE");
    }
    const seen = new Set<string>();
    for (let i = 0; i < pairs.length; i += 2) {
      const name = String(pairs[i]);
      const value = pairs[i + 1] as string | string[];
      // The first replaces what was set before; a repeated name is a second line.
      if (seen.has(name.toLowerCase())) response.appendHeader(name, value);
      else response.setHeader(name, value);
      seen.add(name.toLowerCase());
    }
  } else if (headers !== undefined && headers !== null) {
    for (const [name, value] of Object.entries(headers)) {
      if (name !== "") response.setHeader(name, value);
    }
  }
  if (reason === undefined || isHttp2(response)) return [statusCode];
  response.statusMessage = reason;
  return [statusCode, reason];
}

/** Node refuses these at once, and so do we; a queue would find out when the caller is gone. */
export function checkStatus(response: ServerResponse): void {
  const { statusCode, statusMessage = "" } = statusOf(response);
  checkStatusCode(statusCode | 0, statusCode);
  if (/[^\t\x20-\x7e\x80-\xff]/.test(statusMessage)) {
    throw coded(new TypeError('Invalid character in header content ["statusMessage"]'), "ERR_INVALID_CHAR");
  }
}

function checkStatusCode(statusCode: number, given: unknown): void {
  if (statusCode >= 100 && statusCode <= 999) return;
  throw coded(new RangeError(`Invalid status code: ${String(given)}`), "ERR_HTTP_INVALID_STATUS_CODE");
}

/** The error of a change that comes too late, as Node words it. */
export function headersSent(verb: string): Error {
  return coded(new Error(`Cannot ${verb} headers after they are sent to the client`), "ERR_HTTP_HEADERS_SENT");
}

/** An error with the code that Node gives it. */
export function coded(error: Error, code: string): Error {
  return Object.assign(error, { code });
}
