import adapter from "@sveltejs/adapter-node";

export default {
  kit: {
    adapter: adapter(),
    csrf: { checkOrigin: false }, // the contract's client is no browser
    version: { name: "contract" },
  },
};
