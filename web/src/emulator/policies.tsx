// The policies of the tenant, with the states of their units.
import type { JsonObject } from '@bufbuild/protobuf';
import { ask } from '../call';
import { unitNames } from '../suggest';
import { fromStatus } from '../typed-error';
import { Bar, Chip, countBy } from './status';
import { useRead } from './use-read';

/** How many units of a policy are looked at. */
const seen = 200;

const listOf: Record<string, string> = {
  WORKLOAD_EXCHANGE: 'ListExchangeProtectionPolicyUnits',
  WORKLOAD_ONE_DRIVE_FOR_BUSINESS: 'ListOneDriveForBusinessProtectionPolicyUnits',
  WORKLOAD_SHARE_POINT: 'ListSharePointProtectionPolicyUnits',
};
export const workloadNames: Record<string, string> = {
  WORKLOAD_EXCHANGE: 'Exchange', WORKLOAD_ONE_DRIVE_FOR_BUSINESS: 'OneDrive', WORKLOAD_SHARE_POINT: 'SharePoint',
};

interface Policy { policy: JsonObject; units: JsonObject[]; more: boolean }

async function read(): Promise<{ policies: Policy[]; names: Map<string, string> }> {
  const [page, names] = await Promise.all([ask('ProtectionPolicyService/ListProtectionPolicies'), unitNames()]);
  const policies = await Promise.all(((page.protection_policies ?? []) as JsonObject[]).map(async (policy): Promise<Policy> => {
    const rpc = listOf[String(policy.workload)];
    if (!rpc) return { policy, units: [], more: false };
    const units = await ask(`ProtectionUnitService/${rpc}`, { protection_policy_id: policy.id!, page_size: seen });
    return { policy, units: (units.protection_units ?? []) as JsonObject[], more: Boolean(units.next_page_token) };
  }));
  return { policies, names };
}

export function PoliciesPanel({ version }: { version: number }) {
  const { value, failure } = useRead(version, read);
  return <section class="panel policies" aria-labelledby="policies-title">
    <h2 id="policies-title">Policies</h2>
    {failure && <p class="problem" role="alert">{failure}</p>}
    {!value && !failure && <p class="muted">Loading…</p>}
    {value?.policies.length === 0 && <p class="muted">This tenant has no policy. <a href="#/ProtectionPolicyService/CreateExchangeProtectionPolicy">Create one</a></p>}
    <ul class="cards">{value?.policies.map(({ policy, units, more }) => <li key={String(policy.id)} data-policy={String(policy.id)}>
      <p class="card-head"><strong>{String(policy.display_name ?? '')}</strong> <span class="muted">{workloadNames[String(policy.workload)]}</span> <Chip status={policy.status} /></p>
      <Bar counts={countBy(units, (unit) => unit.status)} />
      {units.length > 0 && <details>
        <summary>{units.length}{more && '+'} units</summary>
        <ul class="units">{units.map((unit) => <li key={String(unit.id)}>
          <span>{value.names.get(String(unit.id)) ?? String(unit.id)}</span> <Chip status={unit.status} />
          {unit.error && <span class="problem">{fromStatus(unit.error as JsonObject).reason}</span>}
        </li>)}</ul>
      </details>}
    </li>)}</ul>
  </section>;
}
