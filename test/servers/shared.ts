/** The servers that all test files share. */

import { get } from "node:http";
import { text } from "node:stream/consumers";
import { inject } from "vitest";
import { givenAddress, isSkipped, type Service } from "./services.ts";

/**
 * The address of a server, which is started, and if need be installed, when the first test file asks for it: from the
 * environment, or of a private one. Undefined if TEST_SKIP leaves it out, or if it is one that a run may do without and cannot
 * be installed. Await it outside of tests and hooks, where there is no time limit. Others use the server, too: keep to tables
 * or keys of your own.
 */
export async function addressOf(service: Service): Promise<string | undefined> {
  if (isSkipped(service)) return undefined;
  return givenAddress(service) ?? (await ask(service));
}

function ask(service: Service): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const request = get(`${inject("servers")}/${service}`, (response) => {
      text(response).then((answer) => {
        if (response.statusCode === 200) resolve(answer);
        else if (response.statusCode === 404) resolve(undefined);
        else reject(new Error(answer));
      }, reject);
    });
    request.on("error", reject);
  });
}
