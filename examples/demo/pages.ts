/** The pages, rendered on the server. */

import type { ListedSession } from "scs-session";
import type { SessionData } from "./app.ts";
import { users } from "./users.ts";

/** Markup that was made by `html`, and so is safe to send. */
export interface Html {
  readonly markup: string;
}

/** Makes markup of a template. What is put into it is escaped, unless it was made by `html` itself. */
export function html(strings: TemplateStringsArray, ...parts: (string | number | Html | readonly Html[])[]): Html {
  const render = (part: (typeof parts)[number]): string => {
    if (typeof part !== "object") return String(part).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
    return "markup" in part ? part.markup : part.map(render).join("");
  };
  return { markup: String.raw({ raw: strings }, ...parts.map(render)) };
}

const style: Html = {
  markup: `
  :root { color-scheme: light dark; --ink: #1d2433; --dim: #5a6478; --paper: #fff; --line: #d5dae3; --accent: #1a56b0;
    --note: #e8f1ff; --alert: #fdeaea }
  @media (prefers-color-scheme: dark) { :root { --ink: #e7eaf0; --dim: #a3adbf; --paper: #171b22; --line: #39414f;
    --accent: #8db8ff; --note: #1d2c45; --alert: #4a2226 } }
  * { box-sizing: border-box }
  body { margin: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper) }
  header, main { max-width: 44rem; margin: 0 auto; padding: 1rem 0 }
  header { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: center; border-bottom: 1px solid var(--line) }
  header strong { margin-right: auto }
  @media (max-width: 30rem) { header strong { flex-basis: 100% } }
  h1 { font-size: 1.6rem; line-height: 1.25 } h2 { font-size: 1.15rem; margin-top: 2rem }
  a { color: var(--accent) }
  form { margin: 0 }
  .fields { display: grid; gap: .25rem; max-width: 20rem }
  .fields label { margin-top: .5rem }
  .fields button { margin-top: .75rem; justify-self: start }
  input { font: inherit; padding: .4rem .5rem; border: 1px solid var(--dim); border-radius: .3rem; color: inherit;
    background: transparent }
  input[type=checkbox] { margin: 0 .4rem 0 0 }
  button { font: inherit; padding: .35rem .8rem; border: 1px solid var(--accent); border-radius: .3rem;
    color: var(--accent); background: transparent; cursor: pointer; white-space: nowrap }
  button:hover { background: var(--note) }
  :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
  table { border-collapse: collapse; width: 100% }
  th, td { text-align: left; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
  .rows { list-style: none; padding: 0; border-top: 1px solid var(--line) }
  .rows li { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; justify-content: space-between;
    padding: .5rem 0; border-bottom: 1px solid var(--line) }
  .rows div { flex: 1 1 16rem }
  .note, .alert { padding: .6rem .9rem; border-radius: .3rem; background: var(--note) }
  .alert { background: var(--alert) }
  .dim { color: var(--dim); font-size: .9rem }
  time { white-space: nowrap }
  code { font-size: .95em }`,
};

/**
 * Browsers keep a page whole for "back", Chromium also one with `Cache-Control: no-store`, and some of them even after a
 * logout: it is hidden when it is left, and asked for anew when it comes back.
 */
const script: Html = {
  markup: `
  addEventListener("pagehide", () => { document.documentElement.hidden = true });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload() });`,
};

interface Page {
  readonly title: string;
  readonly body: Html;
  /** Who is logged in. */
  readonly user?: string | undefined;
  readonly flash?: string | undefined;
}

export function page({ title, body, user, flash }: Page): string {
  const account =
    user === undefined
      ? html`<a href="/login">Log in</a>`
      : html`<a href="/sessions">Sessions of ${user}</a>
          <form method="post" action="/logout"><button>Log out</button></form>`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${title} – scs-session demo</title>
        <link rel="icon" href="data:," />
        <style>
          ${style}
        </style>
        <script>
          ${script};
        </script>
      </head>
      <body>
        <header><strong>scs-session demo</strong> <a href="/">Shop</a> ${account}</header>
        <main>
          <h1>${title}</h1>
          ${flash === undefined ? "" : html`<p class="note" role="status">${flash}</p>`} ${body}
        </main>
      </body>
    </html>`.markup;
}

export function shopPage(products: readonly string[], cart: Readonly<Record<string, number>>): Html {
  const shelf = products.map(
    (product) =>
      html`<li>
        ${product}
        <form method="post" action="/cart">
          <button name="product" value="${product}" aria-label="Add ${product} to the cart">Add</button>
        </form>
      </li>`,
  );
  const lines = Object.entries(cart).map(([product, count]) => html`<li>${count} × ${product}</li>`);
  return html`<p>Open this page in a second tab and add from both: nothing gets lost.</p>
    <ul class="rows">
      ${shelf}
    </ul>
    <h2>Your cart</h2>
    ${
      lines.length === 0
        ? html`<p class="dim">It is empty.</p>`
        : html`<ul>
              ${lines}
            </ul>
            <form method="post" action="/cart/empty"><button>Empty the cart</button></form>`
    }`;
}

/** With what was wrong, and the name that was given, when it is shown again. */
export function loginPage(problem?: string, given = ""): Html {
  const rows = users.map(
    ({ name, password }) =>
      html`<tr>
        <td><code>${name}</code></td>
        <td><code>${password}</code></td>
      </tr>`,
  );
  return html`${problem === undefined ? "" : html`<p class="alert" role="alert">${problem}</p>`}
    <form class="fields" method="post" action="/login">
      <label for="name">Name</label>
      <input id="name" name="name" value="${given}" autocomplete="username" required autofocus />
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required />
      <label><input type="checkbox" name="remember" />Remember me</label>
      <button>Log in</button>
    </form>
    <h2>Users of this demo</h2>
    <table>
      <tr>
        <th scope="col">Name</th>
        <th scope="col">Password</th>
      </tr>
      ${rows}
    </table>`;
}

export function sessionsPage(listed: readonly ListedSession<SessionData>[], ownId: string | undefined): Html {
  const own = listed.filter(({ id }) => id === ownId);
  const others = listed.filter(({ id }) => id !== ownId);
  others.sort((one, other) => other.createdAt.getTime() - one.createdAt.getTime());
  const rows = [...own, ...others].map(({ id, createdAt, expiry, values }) => {
    const browser = browserName(values.userAgent ?? "");
    return html`<li>
      <div>${browser}<br /><span class="dim">Created ${time(createdAt)}, ends ${time(expiry)} if unused</span></div>
      ${
        id === ownId
          ? html`<strong>This browser</strong>`
          : html`<form method="post" action="/sessions/end">
              <button name="id" value="${id}" aria-label="Log out this one: ${browser}">Log out this one</button>
            </form>`
      }
    </li>`;
  });
  return html`<ul class="rows">
      ${rows}
    </ul>
    ${
      others.length === 0
        ? html`<p>
            You are logged in nowhere else. Log in with another browser, or in a private window, and reload this page.
          </p>`
        : html`<form method="post" action="/sessions/end-others"><button>Log out everywhere else</button></form>`
    }`;
}

/** What people call a browser: "Firefox on Windows"; of an unknown one, what it says of itself. */
export function browserName(userAgent: string): string {
  const first = (names: readonly [name: string, mark: RegExp][]) => names.find(([, mark]) => mark.test(userAgent))?.[0];
  const browser = first(browsers);
  const system = first(systems);
  if (browser === undefined) return userAgent;
  return system === undefined ? browser : `${browser} on ${system}`;
}

// Most claim to be others, too: the order matters.
const browsers: [string, RegExp][] = [
  ["Edge", /Edg/],
  ["Opera", /OPR/],
  ["Firefox", /Firefox|FxiOS/],
  ["Chrome", /Chrom|CriOS/],
  ["Safari", /Safari/],
];
const systems: [string, RegExp][] = [
  ["Android", /Android/],
  ["iPhone", /iPhone/],
  ["iPad", /iPad/],
  ["Mac", /Mac OS/],
  ["Windows", /Windows/],
  ["Linux", /Linux/],
];

export function errorPage(advice: string): Html {
  return html`<p>${advice}</p>
    <p><a href="/">Back to the shop</a></p>`;
}

function time(date: Date): Html {
  const iso = date.toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 16).replace("T", " ")} UTC</time>`;
}
