import node from "@astrojs/node";
import { defineConfig } from "astro/config";

export default defineConfig({
  output: "server",
  adapter: node({ mode: "standalone" }),
  server: { host: "127.0.0.1", port: 3000 },
  // The names of the site. Under others Astro takes its forms for cross-site ones, and refuses them.
  security: { allowedDomains: [{ hostname: "127.0.0.1" }, { hostname: "localhost" }] },
});
