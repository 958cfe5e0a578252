// The entry point: the list of conversions at /, or the page of one job at /jobs/{id}.

import { JobPage } from "./jobpage.js";
import { List } from "./list.js";

const [, section, id] = location.pathname.split("/");
if (section === "jobs") new JobPage(id);
else new List();
