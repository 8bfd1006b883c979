/** Stands for h3 when the package is built: h3's own declarations want those of the DOM, and packages that it does not install. */
export {};
