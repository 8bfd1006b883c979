export const prerender = true;

export const load = ({ locals }) => ({ user: locals.session.get("user") ?? "nobody" });
