/** A stylesheet as text (build.mjs, for the components on other pages). */
declare module "*.css" {
  const text: string;
  export default text;
}
