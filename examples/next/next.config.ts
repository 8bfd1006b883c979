/** This folder is a project of its own, though there is a lock file further up. */

import type { NextConfig } from "next";

export default { turbopack: { root: import.meta.dirname } } satisfies NextConfig;
