export const fallback = (event) => globalThis.applications.get(event.url.host).endpoint(event);
