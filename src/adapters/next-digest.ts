/** What `redirect()`, `notFound()` and their like of Next.js throw, and the response that it stands for. */

/** Whether an error is one of these. */
export function isAnswer(error: unknown): boolean {
  return ["NEXT_REDIRECT", "NEXT_HTTP_ERROR_FALLBACK"].includes(digestOf(error)[0] ?? "");
}

/** What Next answers to such an error of a route handler: done here, so that it can have headers. Throws all others. */
export function responseTo(error: unknown, request: Request): Response {
  if (!isAnswer(error)) throw error;
  const [kind, ...rest] = digestOf(error);
  if (kind === "NEXT_HTTP_ERROR_FALLBACK") return new Response(null, { status: Number(rest[0]) });
  // type;location;status; with semicolons in the location, perhaps. After a form has been posted the browser is to GET.
  const form = /^(multipart\/form-data|application\/x-www-form-urlencoded)/;
  const isForm = request.method === "POST" && form.test(request.headers.get("content-type") ?? "");
  const status = isForm ? 303 : Number(rest.at(-2));
  return new Response(null, { status, headers: { location: rest.slice(1, -2).join(";") } });
}

/** What Next puts on the error. */
function digestOf(error: unknown): string[] {
  const { digest } = (error ?? {}) as { readonly digest?: unknown };
  return typeof digest === "string" ? digest.split(";") : [];
}
