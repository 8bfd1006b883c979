/** Koa 2 under its alias has the types of Koa. */
declare module "koa-2" {
  import Koa from "koa";
  export default Koa;
}
