// The packages are linked from examples/next: the root is where both are.
import { fileURLToPath } from "node:url";

export default {
  turbopack: { root: fileURLToPath(new URL("../../..", import.meta.url)) },
  ...(process.env.NEXT_TEST_EXTERNAL && { serverExternalPackages: ["scs-session"] }),
  distDir: process.env.NEXT_TEST_EXTERNAL ? "dist" : ".next",
  experimental: { authInterrupts: true },
};
