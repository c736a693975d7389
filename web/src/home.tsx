// Where a newcomer begins.
import { useEffect } from 'preact/hooks';
import { firstSentence } from './contract';
import { onEmulator, server } from './store';
import { Inline } from './text';

export function Home() {
  const { about, contract } = server.use();
  useEffect(() => { document.title = 'Backup Storage over gRPC'; }, []);
  return <article class="home">
    <h1>Backup Storage over gRPC</h1>
    <p class="lead">Protection policies, restore points and restores of Microsoft 365, as typed rpcs. Find one, fill its form, call it, and read what an error means.</p>
    <ul class="ways">
      <li><a href="#/ProtectionPolicyService/ListProtectionPolicies"><strong>Make a first call</strong><span>List the protection policies of a tenant. It needs no input.</span></a></li>
      <li><a href="#/errors"><strong>Understand an error</strong><span>Paste the details of a status, or a request id.</span></a></li>
      <li>{!about || onEmulator()
        ? <a href="#/emulator"><strong>Watch the emulator</strong><span>Step its clock, set fault rules, see what happens.</span></a>
        : <a href="#/BackupRestoreService/GetBackupRestore"><strong>Look at the service</strong><span>Whether Microsoft 365 Backup is enabled in the tenant.</span></a>}</li>
    </ul>
    <h2>Services</h2>
    <ul class="services">{contract?.services.map((service) => <li key={service.name}>
      <h3>{service.name}</h3>
      <p><Inline text={firstSentence(service.comment)} /></p>
      <p class="muted">{service.rpcs.length} rpcs, such as <a href={`#/${service.rpcs[0]?.id}`}>{service.rpcs[0]?.name}</a></p>
    </li>)}</ul>
    {about && <p class="muted foot">{about.version && `Version ${about.version}. `}{onEmulator() ? 'This server runs on its emulator.' : 'This server runs on Microsoft Graph: calls act on a real tenant.'} <a href="licenses.txt">Licences</a></p>}
  </article>;
}
