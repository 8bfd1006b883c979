/** Who takes part: each on its framework, with the store where its sessions are. The code of each is in contenders/. */

export const frameworks = ["node", "express", "fastify", "koa", "hono", "remix"] as const;
export type Framework = (typeof frameworks)[number];

/** `none`: there are no sessions; `cookie`: the data are in the cookie. */
export const stores = ["none", "memory", "redis", "postgres", "cookie"] as const;
export type Store = (typeof stores)[number];

/** `bare`: without sessions; `limit`: only the calls of the driver; `ours`; `peer`: what a user would otherwise pick. */
export type Role = "bare" | "limit" | "ours" | "peer";

export interface Contender {
  readonly framework: Framework;
  readonly name: string;
  readonly store: Store;
  readonly role: Role;
  /** What it has not: scenarios are left out then. */
  readonly lacks: readonly ("idle expiry" | "8 KB")[];
}

const limits: Record<Framework, readonly Store[]> = {
  node: ["redis", "postgres"],
  express: ["redis", "postgres"],
  fastify: ["redis"],
  koa: ["redis"],
  hono: ["redis"],
  remix: ["redis"],
};

/** The client of Redis has a time limit for each command, unless it is told otherwise: what it does without. */
export const untimedLimit = "limit, untimed";
const untimedLimits: readonly Framework[] = ["node", "express"];

const ours: Record<Framework, readonly Store[]> = {
  node: ["memory", "redis", "postgres"],
  express: ["memory", "redis", "postgres"],
  fastify: ["memory", "redis"],
  koa: ["redis"],
  hono: ["memory", "redis"],
  remix: ["memory", "redis"],
};

interface Peer {
  readonly stores: readonly Store[];
  readonly lacks?: Contender["lacks"];
}

const peers: Record<Framework, Record<string, Peer>> = {
  node: { "iron-session": { stores: ["cookie"] } },
  express: { "express-session": { stores: ["memory", "redis", "postgres"] } },
  fastify: { "@fastify/session": { stores: ["memory", "redis"] } },
  koa: { "koa-session": { stores: ["redis"] } },
  hono: { "hono-sessions": { stores: ["memory", "redis"] }, "@hono/session": { stores: ["cookie", "redis"] } },
  remix: { "@remix-run/session": { stores: ["memory", "redis"], lacks: ["idle expiry"] } },
};

function ofFramework(framework: Framework): Contender[] {
  const each = (name: string, role: Role, at: readonly Store[], lacks: Contender["lacks"] = []): Contender[] =>
    at.map((store) => ({ framework, name, store, role, lacks: store === "cookie" ? ["8 KB"] : lacks }));
  return [
    ...each("bare", "bare", ["none"]),
    ...each("limit", "limit", limits[framework]),
    ...each(untimedLimit, "limit", untimedLimits.includes(framework) ? ["redis"] : []),
    ...each("scs-session", "ours", ours[framework]),
    ...Object.entries(peers[framework]).flatMap(([name, peer]) => each(name, "peer", peer.stores, peer.lacks)),
  ];
}

export const contenders: readonly Contender[] = frameworks.flatMap(ofFramework);

/** What of them a run is about: the bare frameworks and the limits always belong to it. */
export interface Choice {
  readonly frameworks: readonly string[];
  readonly stores: readonly string[];
  readonly peers: readonly string[];
}

export function chosen({ frameworks, stores, peers }: Choice): Contender[] {
  return contenders.filter(
    ({ framework, store, role, name }) =>
      frameworks.includes(framework) &&
      (store === "none" || stores.includes(store)) &&
      (role !== "peer" || peers.includes(name)),
  );
}

/** In one line, unique. */
export function labelOf({ framework, name, store }: Contender): string {
  return store === "none" ? `${framework}: ${name}` : `${framework}: ${name}, ${store}`;
}
