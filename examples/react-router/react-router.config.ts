import type { Config } from "@react-router/dev/config";

export default {
  future: {
    v8_middleware: true,
    // Loaders and actions get the very Request that the middleware has, and find its session by it.
    v8_passThroughRequests: true,
  },
} satisfies Config;
