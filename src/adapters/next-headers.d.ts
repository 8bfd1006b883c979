/** What the adapter of Next.js uses of next/headers: Next itself is not needed to build this package. */
declare module "next/headers.js" {
  /** The cookies of the request; in server actions and route handlers, those of the response can be set. */
  export function cookies(): Promise<CookieJar>;

  /** The headers of the request. */
  export function headers(): Promise<Pick<Headers, "get">>;

  /** What `cookies()` answers. */
  export interface CookieJar {
    getAll(): { readonly name: string; readonly value: string }[];
    /** Throws while a server component is rendered. */
    set(cookie: object): unknown;
  }
}
