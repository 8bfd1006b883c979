/** The services that tests need, and which of them this run has from elsewhere or does without. */

const services = ["redis", "postgres", "mysql", "valkey"] as const;
/** Besides the servers, what is large can be left out: other runtimes, the examples with packages of their own, a browser. */
const optional = [...services, "runtimes", "examples", "browser"] as const;

export type Service = (typeof services)[number];
export type Optional = (typeof optional)[number];

export function isService(name: string): name is Service {
  return (services as readonly string[]).includes(name);
}

/** What the variable TEST_SKIP leaves out: names with commas between them. Unknown names throw. */
export function skipped(): Optional[] {
  const names = (process.env["TEST_SKIP"] ?? "").split(",").map((name) => name.trim());
  return names
    .filter((name) => name !== "")
    .map((name) => {
      const known = optional.find((each) => each === name);
      if (known !== undefined) return known;
      throw new Error(`TEST_SKIP names "${name}"; it takes ${optional.join(", ")}`);
    });
}

export function isSkipped(what: Optional): boolean {
  return skipped().includes(what);
}

/** The address that STORE_REDIS_URL, STORE_POSTGRES_URL, STORE_MYSQL_URL or STORE_VALKEY_URL gives. */
export function givenAddress(service: Service): string | undefined {
  const address = process.env[`STORE_${service.toUpperCase()}_URL`];
  return address === "" ? undefined : address;
}

/** Whether a run may do without, and says so: not every system has it to install. */
export function isDispensable(service: Service): boolean {
  return service === "valkey";
}

/** Those that have to be found, or installed, on this machine. */
export function servicesOfThisMachine(): Service[] {
  return services.filter((service) => !isSkipped(service) && givenAddress(service) === undefined);
}
