import com.microsoft.graph.core.content.BatchRequestContentCollection;
import com.microsoft.graph.core.tasks.PageIterator;
import com.microsoft.graph.models.*;
import com.microsoft.graph.models.odataerrors.ODataError;
import com.microsoft.graph.serviceclient.GraphServiceClient;
import com.microsoft.graph.solutions.backuprestore.BackupRestoreRequestBuilder;
import com.microsoft.graph.solutions.backuprestore.browsesessions.item.browse.BrowsePostRequestBody;
import com.microsoft.graph.solutions.backuprestore.restorepoints.search.SearchPostRequestBody;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Microsoft's Java SDK on the emulator. Usage: java Main http://127.0.0.1:50082 */
final class Main {
    // From the emulator's README.
    private static final String TENANT_A = "aaaaaaaa-0000-4000-8000-00000000000a";
    private static final String TENANT_C = "cccccccc-0000-4000-8000-00000000000c";
    private static final String POLICY_C = "b71df0ed-09d4-41c7-8a7e-362675b6c0c6";
    private static final String UNKNOWN = "00000000-0000-4000-8000-000000000000";
    private static final String GROUP_1 = "e0000002-67ef-4440-8a1c-000000000001";

    private static String origin;
    private static int passed, failed;

    private interface Step { void run() throws Exception; }

    private static void step(String name, Step body) {
        try {
            body.run();
            passed++;
            System.out.println("ok      " + name);
        } catch (Throwable problem) {
            failed++;
            System.out.println("FAILED  " + name + ": " + problem);
        }
    }

    private static void same(Object got, Object want) {
        if (!String.valueOf(want).equals(String.valueOf(got))) throw new AssertionError("got " + got + ", want " + want);
    }

    private static void refused(int status, String code, Step call) throws Exception {
        try {
            call.run();
        } catch (ODataError error) {
            same(error.getResponseStatusCode() + " " + error.getError().getCode(), status + " " + code);
            same(error.getError().getInnerError().getRequestId().length(), 36);
            return;
        }
        throw new AssertionError("no error, want " + code);
    }

    /** Calls the emulator's own API, which is no part of Graph. */
    private static void control(String path, String body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(origin + "/_emulator/" + path))
                .POST(HttpRequest.BodyPublishers.ofString(body)).build();
        same(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).statusCode(), 200);
    }

    private static void advance(String length) throws Exception { control("clock", "{\"advance\":\"" + length + "\"}"); }

    private static String user(int n) { return String.format("e0000001-67ef-4440-8a1c-%012x", n); }

    private static MailboxProtectionUnit mailbox(int n) {
        MailboxProtectionUnit unit = new MailboxProtectionUnit();
        unit.setDirectoryObjectId(user(n));
        return unit;
    }

    private static MailboxRestoreArtifact artifact(String point) {
        RestorePoint restorePoint = new RestorePoint();
        restorePoint.setId(point);
        MailboxRestoreArtifact artifact = new MailboxRestoreArtifact();
        artifact.setRestorePoint(restorePoint);
        artifact.setDestinationType(DestinationType.New);
        return artifact;
    }

    private static List<String> ids(List<? extends Entity> entities) {
        return entities.stream().map(Entity::getId).collect(Collectors.toList());
    }

    public static void main(String[] arguments) throws Exception {
        origin = arguments[0];
        GraphServiceClient client = Emulator.connect(origin, TENANT_A);
        BackupRestoreRequestBuilder root = client.solutions().backupRestore();
        GraphServiceClient clientC = Emulator.connect(origin, TENANT_C);
        BackupRestoreRequestBuilder rootC = clientC.solutions().backupRestore();
        control("reset", "");
        control("clock", "{\"speed\":0}");
        String[] made = new String[8]; // ids that later steps need

        step("service: status and what $select leaves of it", () -> {
            same(root.get().getServiceStatus().getStatus(), BackupServiceStatus.Enabled);
            same(root.get(c -> c.queryParameters.select = new String[] {"id"}).getServiceStatus(), null);
        });
        step("service: email notifications", () -> same(root.emailNotificationsSetting().get().getIsEnabled(), true));
        step("apps: register, list, count", () -> {
            made[6] = root.serviceApps().post(new ServiceApp()).getId();
            same(ids(root.serviceApps().get().getValue()).contains(made[6]), true);
            same(root.serviceApps().byServiceAppId(made[6]).get().getId(), made[6]);
            same(root.serviceApps().count().get() > 0, true);
        });
        step("policies: tenant A has none, a token of tenant C shows that tenant's", () -> {
            same(root.protectionPolicies().get().getValue().size(), 0);
            same(rootC.protectionPolicies().get().getValue().get(0).getClass(), ExchangeProtectionPolicy.class);
        });
        step("policies: create with 5 mailboxes", () -> {
            ExchangeProtectionPolicy policy = new ExchangeProtectionPolicy();
            policy.setDisplayName("Mailboxes");
            policy.setMailboxProtectionUnits(Arrays.asList(mailbox(1), mailbox(2), mailbox(3), mailbox(7), mailbox(8)));
            policy = root.exchangeProtectionPolicies().post(policy);
            same(policy.getStatus(), ProtectionPolicyStatus.Inactive);
            made[0] = policy.getId();
        });
        step("policies: typed list, item and count", () -> {
            same(ids(root.exchangeProtectionPolicies().get().getValue()), List.of(made[0]));
            same(root.exchangeProtectionPolicies().byExchangeProtectionPolicyId(made[0]).get().getDisplayName(), "Mailboxes");
            same(root.exchangeProtectionPolicies().count().get(), 1);
            same(root.sharePointProtectionPolicies().get().getValue().size(), 0);
        });
        step("policies: $expand brings the units along", () -> same(root.exchangeProtectionPolicies()
                .byExchangeProtectionPolicyId(made[0]).get(c -> c.queryParameters.expand = new String[] {"mailboxProtectionUnits"})
                .getMailboxProtectionUnits().size(), 5));
        step("policies: update", () -> {
            ExchangeProtectionPolicy change = new ExchangeProtectionPolicy();
            change.setDisplayName("Renamed");
            root.exchangeProtectionPolicies().byExchangeProtectionPolicyId(made[0]).patch(change);
            same(root.protectionPolicies().byProtectionPolicyBaseId(made[0]).get().getDisplayName(), "Renamed");
        });
        step("policies: activate", () -> {
            same(root.protectionPolicies().byProtectionPolicyBaseId(made[0]).activate().post().getStatus(), ProtectionPolicyStatus.Updating);
            advance("5m");
            same(root.protectionPolicies().byProtectionPolicyBaseId(made[0]).get().getStatus(), ProtectionPolicyStatus.Active);
        });
        step("policies: 409 for a second one, 404 for an unknown one", () -> {
            ExchangeProtectionPolicy second = new ExchangeProtectionPolicy();
            second.setDisplayName("Second");
            refused(409, "PolicyCreationNotAllowed", () -> root.exchangeProtectionPolicies().post(second));
            refused(404, "PolicyNotFound", () -> root.protectionPolicies().byProtectionPolicyBaseId(UNKNOWN).get());
        });
        step("units: by policy, by type, all, counted", () -> {
            var units = root.exchangeProtectionPolicies().byExchangeProtectionPolicyId(made[0]).mailboxProtectionUnits();
            made[1] = units.get().getValue().get(0).getId();
            same(units.byMailboxProtectionUnitId(made[1]).get().getDirectoryObjectId(), user(1));
            same(units.count().get(), 5);
            same(root.mailboxProtectionUnits().get().getValue().size(), 5);
            same(root.mailboxProtectionUnits().byMailboxProtectionUnitId(made[1]).get().getPolicyId(), made[0]);
            same(root.protectionUnits().count().get(), 5);
            same(root.protectionUnits().graphMailboxProtectionUnit().count().get(), 5);
        });
        step("units: a cast of one, and 404 for the wrong one", () -> {
            var unit = root.protectionUnits().byProtectionUnitBaseId(made[1]);
            same(unit.get().getClass(), MailboxProtectionUnit.class);
            same(unit.graphMailboxProtectionUnit().get().getDirectoryObjectId(), user(1));
            refused(404, "ResourceNotFound", () -> unit.graphSiteProtectionUnit().get());
        });
        step("units: $select, $count, $top and the page that follows", () -> {
            var page = root.protectionUnits().graphMailboxProtectionUnit().get(c -> {
                c.queryParameters.select = new String[] {"id", "status"};
                c.queryParameters.count = true;
                c.queryParameters.top = 2;
            });
            same(page.getOdataCount(), 5);
            same(page.getValue().get(0).getPolicyId(), null);
            same(page.getValue().get(0).getStatus(), ProtectionUnitStatus.Protected);
            same(root.protectionUnits().graphMailboxProtectionUnit().withUrl(page.getOdataNextLink()).get().getValue().size(), 2);
        });
        step("units: PageIterator reads tenant C's 20, 3 at a time by Prefer", () -> {
            var first = rootC.exchangeProtectionPolicies().byExchangeProtectionPolicyId(POLICY_C).mailboxProtectionUnits()
                    .get(c -> c.headers.add("Prefer", "odata.maxpagesize=3"));
            same(first.getValue().size(), 3);
            List<String> seen = new ArrayList<>();
            new PageIterator.Builder<MailboxProtectionUnit, MailboxProtectionUnitCollectionResponse>().client(clientC).collectionPage(first)
                    .collectionPageFactory(MailboxProtectionUnitCollectionResponse::createFromDiscriminatorValue)
                    .processPageItemCallback(unit -> seen.add(unit.getId())).build().iterate();
            same(seen.stream().distinct().count(), 20);
        });
        step("units: offboarding is refused while they are in a policy", () -> {
            var unit = root.protectionUnits().byProtectionUnitBaseId(made[1]);
            refused(403, "OperationNotAllowed", () -> unit.offboard().post());
            refused(403, "OperationNotAllowed", () -> unit.cancelOffboard().post());
        });
        step("rules: create one, which adds a group", () -> {
            MailboxProtectionRule rule = new MailboxProtectionRule();
            rule.setMailboxExpression("(memberOf -any (group.id -in ['" + GROUP_1 + "']))");
            rule = root.mailboxInclusionRules().post(rule);
            made[2] = rule.getId();
            advance("10m");
            same(root.mailboxInclusionRules().byMailboxProtectionRuleId(made[2]).get().getStatus(), ProtectionRuleStatus.Completed);
        });
        step("rules: of the policy, of the tenant, counted, and gone", () -> {
            var rules = root.exchangeProtectionPolicies().byExchangeProtectionPolicyId(made[0]).mailboxInclusionRules();
            same(ids(rules.get().getValue()), List.of(made[2]));
            same(rules.byMailboxProtectionRuleId(made[2]).get().getId(), made[2]);
            same(root.mailboxInclusionRules().count().get(), 1);
            root.mailboxInclusionRules().byMailboxProtectionRuleId(made[2]).delete();
            same(root.mailboxInclusionRules().get().getValue().size(), 0);
        });
        step("jobs: add a mailbox by its owner's id", () -> {
            MailboxProtectionUnitsBulkAdditionJob job = new MailboxProtectionUnitsBulkAdditionJob();
            job.setDisplayName("more");
            job.setDirectoryObjectIds(List.of(user(50)));
            String id = root.mailboxProtectionUnitsBulkAdditionJobs().post(job).getId();
            advance("10m");
            same(root.mailboxProtectionUnitsBulkAdditionJobs().byMailboxProtectionUnitsBulkAdditionJobId(id).get().getStatus(),
                    ProtectionUnitsBulkJobStatus.Completed);
            same(ids(root.exchangeProtectionPolicies().byExchangeProtectionPolicyId(made[0]).mailboxProtectionUnitsBulkAdditionJobs().get().getValue()), List.of(id));
        });
        step("points: list, one, its unit", () -> {
            advance("1h");
            var points = root.restorePoints().get(c -> {
                c.queryParameters.filter = "protectionDateTime lt 2999-01-01T00:00:00Z";
                c.queryParameters.expand = new String[] {"protectionUnit($filter=id eq '" + made[1] + "')"};
            }).getValue();
            made[3] = points.get(0).getId();
            same(root.restorePoints().byRestorePointId(made[3]).get().getId(), made[3]);
            same(root.restorePoints().byRestorePointId(made[3]).protectionUnit().get().getId(), made[1]);
        });
        step("points: search", () -> {
            SearchPostRequestBody search = new SearchPostRequestBody();
            search.setProtectionUnitIds(List.of(made[1]));
            search.setRestorePointPreference(RestorePointPreference.Latest);
            TimePeriod period = new TimePeriod();
            period.setEndDateTime(OffsetDateTime.parse("2999-01-01T00:00:00Z"));
            search.setProtectionTimePeriod(period);
            same(root.restorePoints().search().post(search).getSearchResults().get(0).getRestorePoint().getId(), made[3]);
        });
        step("sessions: create, whose type is told, and list", () -> {
            ExchangeRestoreSession session = new ExchangeRestoreSession();
            session.setMailboxRestoreArtifacts(List.of(artifact(made[3])));
            session = root.exchangeRestoreSessions().post(session);
            same(session.getOdataType(), "#microsoft.graph.exchangeRestoreSession");
            made[4] = session.getId();
            same(ids(root.exchangeRestoreSessions().get().getValue()), List.of(made[4]));
            same(root.restoreSessions().byRestoreSessionBaseId(made[4]).get().getClass(), ExchangeRestoreSession.class);
            same(root.restoreSessions().count().get(), 1);
        });
        step("sessions: artifacts one by one, with their point", () -> {
            var artifacts = root.exchangeRestoreSessions().byExchangeRestoreSessionId(made[4]).mailboxRestoreArtifacts();
            String id = artifacts.get().getValue().get(0).getId();
            same(artifacts.byMailboxRestoreArtifactId(id).get().getStatus(), ArtifactRestoreStatus.Added);
            same(artifacts.byMailboxRestoreArtifactId(id).restorePoint().get().getId(), made[3]);
            same(artifacts.count().get(), 1);
        });
        step("sessions: activate, and completed 12 emulated minutes later", () -> {
            root.restoreSessions().byRestoreSessionBaseId(made[4]).activate().post();
            advance("12m");
            same(root.exchangeRestoreSessions().byExchangeRestoreSessionId(made[4]).get().getStatus(), RestoreSessionStatus.Completed);
        });
        step("bulk: active until the session is activated, however long", () -> {
            String session = root.exchangeRestoreSessions().post(new ExchangeRestoreSession()).getId();
            var requests = root.exchangeRestoreSessions().byExchangeRestoreSessionId(session).mailboxRestoreArtifactsBulkAdditionRequests();
            MailboxRestoreArtifactsBulkAdditionRequest request = new MailboxRestoreArtifactsBulkAdditionRequest();
            request.setDisplayName("all");
            request.setDirectoryObjectIds(List.of(user(2), user(3)));
            request.setDestinationType(DestinationType.New);
            request.setRestorePointPreference(RestorePointPreference.Latest);
            String id = requests.post(request).getId();
            advance("24h");
            var one = requests.byMailboxRestoreArtifactsBulkAdditionRequestId(id);
            same(one.get().getStatus(), RestoreArtifactsBulkRequestStatus.Active);
            same(one.get().getCreatedBy().getUser().getAdditionalData().get("identity"), user(1));
            root.restoreSessions().byRestoreSessionBaseId(session).activate().post();
            advance("20m");
            same(one.get().getStatus(), RestoreArtifactsBulkRequestStatus.Completed);
            same(root.restoreSessions().byRestoreSessionBaseId(session).get().getStatus(), RestoreSessionStatus.Completed);
            one.delete();
            refused(404, "BulkRestoreArtifactsNotFound", one::get);
        });
        step("browse: a session of a drive, and what is in it", () -> {
            control("seed", "{\"tenant\":\"" + TENANT_A + "\",\"serviceStatus\":\"enabled\",\"policies\":["
                    + "{\"workload\":\"oneDriveForBusiness\",\"units\":5,\"protectedFor\":\"48h\"}]}");
            String unit = root.driveProtectionUnits().get().getValue().get(0).getId();
            SearchPostRequestBody search = new SearchPostRequestBody();
            search.setProtectionUnitIds(List.of(unit));
            search.setRestorePointPreference(RestorePointPreference.Latest);
            search.setTags(java.util.EnumSet.of(RestorePointTags.FastRestore));
            TimePeriod period = new TimePeriod();
            period.setEndDateTime(OffsetDateTime.parse("2999-01-01T00:00:00Z"));
            search.setProtectionTimePeriod(period);
            OneDriveForBusinessBrowseSession session = new OneDriveForBusinessBrowseSession();
            session.setRestorePointId(root.restorePoints().search().post(search).getSearchResults().get(0).getRestorePoint().getId());
            made[5] = root.oneDriveForBusinessBrowseSessions().post(session).getId();
            same(root.browseSessions().byBrowseSessionBaseId(made[5]).get().getClass(), OneDriveForBusinessBrowseSession.class);
            BrowsePostRequestBody body = new BrowsePostRequestBody();
            body.setFilter("(name -contains 'report')");
            var page = root.browseSessions().byBrowseSessionBaseId(made[5]).browse().post(body);
            same(page.getValue().size(), 10);
            var link = URI.create(page.getOdataNextLink()).getQuery();
            String token = link.substring(link.indexOf("skiptoken=") + 10);
            same(root.browseSessions().byBrowseSessionBaseId(made[5]).browseWithNextFetchToken(token).get().getValue().get(0).getName(), "report 11.docx");
        });
        step("batch: a read, a write and an error in one request", () -> {
            BatchRequestContentCollection batch = new BatchRequestContentCollection(client);
            String read = batch.addBatchRequestStep(root.toGetRequestInformation());
            SharePointProtectionPolicy sites = new SharePointProtectionPolicy();
            sites.setDisplayName("Sites");
            String write = batch.addBatchRequestStep(root.sharePointProtectionPolicies().toPostRequestInformation(sites));
            String error = batch.addBatchRequestStep(root.protectionPolicies().byProtectionPolicyBaseId(UNKNOWN).toGetRequestInformation());
            var answers = client.getBatchRequestBuilder().post(batch, Map.of());
            same(answers.getResponseById(read, BackupRestoreRoot::createFromDiscriminatorValue).getServiceStatus().getStatus(), BackupServiceStatus.Enabled);
            same(answers.getResponseById(write, SharePointProtectionPolicy::createFromDiscriminatorValue).getDisplayName(), "Sites");
            same(answers.getResponsesStatusCodes().get(error), 404);
        });
        step("policies: deactivate and delete by type", () -> {
            String id = root.oneDriveForBusinessProtectionPolicies().get().getValue().get(0).getId();
            root.protectionPolicies().byProtectionPolicyBaseId(id).deactivate().post();
            advance("2m");
            root.oneDriveForBusinessProtectionPolicies().byOneDriveForBusinessProtectionPolicyId(id).delete();
            refused(404, "PolicyNotFound", () -> root.protectionPolicies().byProtectionPolicyBaseId(id).get());
        });

        System.out.println("Java: " + passed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1); // threads of the HTTP client would wait for more work
    }
}
