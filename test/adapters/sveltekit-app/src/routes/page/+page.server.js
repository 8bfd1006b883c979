const application = ({ url }) => globalThis.applications.get(url.host);

export const load = (event) => application(event).load(event);

export const actions = { default: (event) => application(event).action(event) };
