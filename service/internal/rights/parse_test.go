package rights

import (
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/service/internal/contract"
)

const (
	tenantA = "11111111-2222-4333-8444-000000000001"
	tenantB = "11111111-2222-4333-8444-00000000000b"
	tenantC = "11111111-2222-4333-8444-00000000000c"
	robot   = "oidc:https://issuer.example#00001111-aaaa-2222-bbbb-3333cccc4444"
	portal  = "spiffe://corp.example/portal"
)

// now is the time of all calls.
var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

var theContract = sync.OnceValue(func() *contract.Contract {
	c, err := contract.Read()
	if err != nil {
		panic(err)
	}
	return c
})

var theRules = sync.OnceValue(func() *Rules { return NewRules(theContract().Operations()) })

// files is the file system of a test.
type files map[string]string

func (f files) read(name string) ([]byte, error) {
	if text, ok := f[name]; ok {
		return []byte(text), nil
	}
	return nil, fs.ErrNotExist
}

func mustParse(t *testing.T, text string, others files) *File {
	t.Helper()
	f, err := Parse([]byte(text), theRules(), others.read)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// example is a file with everything.
const example = `# Who may call.
version: 1
issuers:
  - {issuer: https://issuer.example, audience: backupstorage, principalClaim: azp, requiredClaims: {idtyp: app}}
tenantSets:
  customers: {file: tenants.txt}
callers:
  - principal: oidc:https://issuer.example#00001111-aaaa-2222-bbbb-3333cccc4444
    tenants: [set:customers]
    role: operator
    onBehalfOfUsers: true
    notAfter: 2027-01-01T00:00:00Z
  - principal: spiffe://corp.example/portal
    tenants: ["11111111-2222-4333-8444-000000000001"]
    permissions: [BackupRestore-Configuration.ReadWrite.All]
    effects: [READ, ADD]
  - principal: dns:admin.corp.example
    tenants: ["*"]
    role: admin
  - principal: urn:corp:restore
    tenants: [set:customers, 11111111-2222-4333-8444-00000000000C]
    permissions:
      - BackupRestore-Restore.ReadWrite.All
      - BackupRestore-Search.Read.All
`

var exampleFiles = files{"tenants.txt": "\ufeff# customers\r\n" + tenantA + "\r\n\r\n" + strings.ToUpper(tenantB) + " # second\n"}

func TestParseExample(t *testing.T) {
	f := mustParse(t, example, exampleFiles)
	if len(f.Issuers) != 1 || f.Issuers[0].PrincipalClaim != "azp" || len(f.Issuers[0].RequiredClaims) != 1 {
		t.Errorf("the issuers are %+v", f.Issuers)
	}
	if want := []string{"tenants.txt"}; !slices.Equal(f.Names, want) {
		t.Errorf("the files are %q, want %q", f.Names, want)
	}
	if want := []string{"dns:admin.corp.example"}; !slices.Equal(f.Everywhere(), want) {
		t.Errorf("everywhere are %q, want %q", f.Everywhere(), want)
	}
	want := `LINE  PRINCIPAL                                                         TENANTS                                                    PERMISSIONS                                                         EFFECTS                           USERS  NOT AFTER
8     oidc:https://issuer.example#00001111-aaaa-2222-bbbb-3333cccc4444  set:customers (2)                                          all                                                                 operator: READ, ADD, CHANGE       yes    2027-01-01T00:00:00Z
13    spiffe://corp.example/portal                                      11111111-2222-4333-8444-000000000001                       BackupRestore-Configuration.ReadWrite.All                           READ, ADD                         no     -
17    dns:admin.corp.example                                            *                                                          all                                                                 admin: READ, ADD, CHANGE, REMOVE, RESTORE  no     -
20    urn:corp:restore                                                  set:customers (2), 11111111-2222-4333-8444-00000000000C    BackupRestore-Restore.ReadWrite.All, BackupRestore-Search.Read.All  READ, ADD, CHANGE, RESTORE        no     -
`
	words := strings.Fields
	if got := f.List(); !slices.Equal(words(got), words(want)) {
		t.Errorf("the list is\n%swant\n%s", got, want)
	}
}

// Each bad file is refused with the line of the fault and the reason, and shows no tenant.
func TestBadFiles(t *testing.T) {
	caller := "  - principal: " + portal + "\n    tenants: [" + tenantA + "]\n    role: reader\n"
	before := "version: 1\ncallers:\n"
	with := func(from, to string) string { return before + strings.Replace(caller, from, to, 1) }
	issuer := func(entry string) string { return "version: 1\nissuers:\n  - " + entry + "\ncallers:\n" + caller }
	set := func(entry string) string { return "version: 1\ntenantSets:\n  " + entry + "\ncallers:\n" + caller }
	all := files{"good.txt": tenantA, "empty.txt": "", "comments.txt": "# none\n\n", "bad.txt": tenantA + "\n" + tenantB[:30], "keys.json": "{}", "ca.pem": "none"}
	for name, test := range map[string]struct{ text, want string }{
		"empty file":               {"", "the file is empty"},
		"blank file":               {" \n\n", "the file is empty"},
		"only a comment":           {"# nothing\n", "the file is empty"},
		"null":                     {"---\n~\n", "the file is empty"},
		"a list":                   {"- a\n", "line 1: the file must be an object"},
		"a text":                   {"a", "line 1: the file must be an object"},
		"no YAML":                  {before + "  - principal: [\n", "line 3: "},
		"a tab":                    {"version: 1\n\tcallers: []\n", "line 2: found a tab"},
		"a null byte":              {"version: 1\x00", "control characters are not allowed"},
		"two documents":            {before + caller + "---\nversion: 1\n", "the file has more than one document"},
		"no version":               {"callers:\n" + caller, "line 1: version is missing"},
		"version 2":                {"version: 2\ncallers:\n" + caller, "line 1: version must be 1"},
		"version as text":          {"version: \"1\"\ncallers:\n" + caller, "line 1: version must be 1"},
		"no callers":               {"version: 1\n", "line 1: callers is missing"},
		"empty callers":            {"version: 1\ncallers: []\n", "line 2: callers must be a list with one item at least"},
		"callers without list":     {"version: 1\ncallers: {}\n", "line 2: callers must be a list"},
		"unknown field":            {before + caller + "rights: []\n", `line 6: unknown field "rights" of the file`},
		"unknown field of caller":  {with("role:", "roll:"), `line 5: unknown field "roll" of a caller`},
		"other letters":            {with("role:", "Role:"), `line 5: unknown field "Role" of a caller`},
		"a secret as a field":      {with("role:", `"p4$$ word":`), "line 5: unknown field of a caller"},
		"duplicate field":          {before + caller + "    role: reader\n", `line 6: a caller has the field "role" twice, first in line 5`},
		"duplicate section":        {before + caller + "callers:\n" + caller, `line 6: the file has the field "callers" twice, first in line 2`},
		"a number as a field":      {with("role:", "5:"), "line 5: a field of a caller must have a text as its name"},
		"an alias":                 {before + strings.Replace(caller, "role: reader", "role: &a reader\n    notAfter: *a", 1), "line 6: aliases are not supported"},
		"a merge":                  {before + strings.Replace(caller, "role:", "<<: {role: admin}\n    role:", 1), "line 5: a field of a caller must have a text"},
		"caller is a text":         {before + "  - " + portal + "\n", "line 3: a caller must be an object"},
		"no principal":             {before + "  - {tenants: [\"*\"], role: reader}\n", "line 3: a caller must have principal"},
		"no tenants":               {before + "  - {principal: " + portal + ", role: reader}\n", "line 3: a caller must have tenants"},
		"empty tenants":            {with("["+tenantA+"]", "[]"), "line 4: tenants must be a list with one item at least"},
		"tenants as a text":        {with("["+tenantA+"]", tenantA), "line 4: tenants must be a list"},
		"a bad tenant":             {with(tenantA, "contoso.example"), "line 4: a tenant must be a GUID"},
		"a short tenant":           {with(tenantA, tenantA[:35]), "line 4: a tenant must be a GUID"},
		"a tenant pattern":         {with(tenantA, `"1*"`), "line 4: a tenant must be a GUID"},
		"a tenant of other form":   {with(tenantA, `"{`+tenantA+`}"`), "line 4: a tenant must be a GUID"},
		"a tenant twice":           {with(tenantA, tenantA+", "+tenantA), "line 4: the tenant is there twice"},
		"unknown set":              {with(tenantA, "set:clients"), `line 4: unknown tenant set "clients"`},
		"a number as tenant":       {with(tenantA, "5"), "line 4: a tenant must be a text"},
		"duplicate principal":      {before + caller + caller, "line 6: the principal is there twice, first with the caller in line 3"},
		"a pattern":                {with("/portal", "/*"), "line 3: principal must be exact"},
		"a pattern of hosts":       {with(portal, "dns:*.corp.example"), "line 3: principal must be exact"},
		"a name":                   {with(portal, "portal"), "line 3: principal must be a URI"},
		"a space":                  {with(portal, "spiffe://corp.example/a b"), "line 3: principal must have no spaces"},
		"a host in upper case":     {with(portal, "dns:Portal.example"), "line 3: principal must be dns: and a host name in lower case"},
		"a host without name":      {with(portal, "'dns:'"), "line 3: principal must be dns: and a host name"},
		"a kind in upper case":     {with(portal, "DNS:portal.example"), "line 3: principal must be a URI"},
		"a token in upper case":    {with(portal, "OIDC:https://issuer.example#a"), "line 3: principal must be a URI"},
		"an unknown issuer":        {with(portal, robot), "line 3: principal names an issuer that is not among the issuers"},
		"a long principal":         {with("/portal", "/"+strings.Repeat("p", 2048)), "line 3: principal has more than 2,048 bytes"},
		"no rights":                {with("    role: reader\n", ""), "line 3: a caller must have a role or permissions"},
		"unknown role":             {with("reader", "writer"), `line 5: unknown role "writer": it must be reader, operator, restorer or admin`},
		"role in upper case":       {with("reader", "Reader"), `line 5: unknown role "Reader"`},
		"role is a list":           {with("reader", "[reader]"), "line 5: role must be a text"},
		"role without value":       {with("reader", ""), "line 5: role must be a text"},
		"role and effects":         {before + caller + "    effects: [READ]\n", "line 6: effects and role exclude each other"},
		"effects alone":            {with("role: reader", "effects: [READ]"), "line 3: a caller must have a role or permissions"},
		"unknown permission":       {with("role: reader", "permissions: [BackupRestore-All]"), `line 5: unknown permission "BackupRestore-All": it must be one of BackupRestore-Configuration.Read.All, `},
		"permission pattern":       {with("role: reader", `permissions: ["*"]`), "line 5: unknown permission: it must"},
		"permission twice":         {with("role: reader", "permissions: [BackupRestore-Search.Read.All, BackupRestore-Search.Read.All]"), "line 5: the permission is there twice"},
		"unknown effect":           {with("role: reader", "permissions: [BackupRestore-Search.Read.All]\n    effects: [READ, DELETE]"), `line 6: unknown effect "DELETE": it must be one of READ, ADD, CHANGE, REMOVE, RESTORE`},
		"no effect":                {with("role: reader", "permissions: [BackupRestore-Search.Read.All]\n    effects: [EFFECT_UNSPECIFIED]"), "line 6: unknown effect"},
		"effect in lower case":     {with("role: reader", "permissions: [BackupRestore-Search.Read.All]\n    effects: [read]"), `line 6: unknown effect "read"`},
		"effect twice":             {with("role: reader", "permissions: [BackupRestore-Search.Read.All]\n    effects: [READ, READ]"), "line 6: the effect is there twice"},
		"empty effects":            {with("role: reader", "permissions: [BackupRestore-Search.Read.All]\n    effects: []"), "line 6: effects must be a list with one item"},
		"yes as a bool":            {before + caller + "    onBehalfOfUsers: yes\n", "line 6: onBehalfOfUsers must be true or false"},
		"text as a bool":           {before + caller + "    onBehalfOfUsers: \"true\"\n", "line 6: onBehalfOfUsers must be true or false"},
		"a date without time":      {before + caller + "    notAfter: 2027-01-01\n", "line 6: notAfter must be a time"},
		"an empty time":            {before + caller + "    notAfter:\n", "line 6: notAfter must be a time"},
		"a list as time":           {before + caller + "    notAfter: []\n", "line 6: notAfter must be a time"},
		"an issuer over http":      {issuer("{issuer: 'http://issuer.example', audience: a, principalClaim: sub}"), "line 3: issuer must be an https URL"},
		"an issuer twice":          {"version: 1\nissuers:\n  - {issuer: 'https://a', audience: a, principalClaim: sub}\n  - {issuer: 'https://a', audience: b, principalClaim: sub}\ncallers:\n" + caller, "line 4: the issuer is there twice"},
		"no audience":              {issuer("{issuer: 'https://a', principalClaim: sub}"), "line 3: audience must be set"},
		"an empty audience":        {issuer("{issuer: 'https://a', audience: '', principalClaim: sub}"), "line 3: audience must be a text"},
		"unknown field of issuer":  {issuer("{issuer: 'https://a', audience: a, principalClaim: sub, secret: a}"), `line 3: unknown field "secret" of an issuer`},
		"missing keys":             {issuer("{issuer: 'https://a', audience: a, principalClaim: sub, jwksFile: missing}"), "line 3: the file cannot be read: "},
		"bad keys":                 {issuer("{issuer: 'https://a', audience: a, principalClaim: sub, jwksFile: keys.json}"), "line 3: jwksFile has no public key"},
		"a bad CA":                 {issuer("{issuer: 'https://a', audience: a, principalClaim: sub, caFile: ca.pem}"), "line 3: caFile has no certificate in PEM"},
		"an empty CA":              {issuer("{issuer: 'https://a', audience: a, principalClaim: sub, caFile: empty.txt}"), "line 3: caFile has no certificate in PEM"},
		"a number in claims":       {issuer("{issuer: 'https://a', audience: a, principalClaim: sub, requiredClaims: {a: 5}}"), "line 3: a required claim must be a text"},
		"empty issuers":            {"version: 1\nissuers: []\ncallers:\n" + caller, "line 2: issuers must be a list with one item"},
		"a set without file":       {set("customers: {}"), "line 3: a tenant set must have a file"},
		"a set as a text":          {set("customers: good.txt"), "line 3: a tenant set must be an object"},
		"a missing file":           {set("customers: {file: missing.txt}"), "line 3: the file cannot be read: file does not exist"},
		"an empty set":             {set("customers: {file: empty.txt}"), "line 3: the file has no tenant"},
		"a set of comments":        {set("customers: {file: comments.txt}"), "line 3: the file has no tenant"},
		"a truncated set":          {set("customers: {file: bad.txt}"), "line 3: the file line 2 is no GUID"},
		"a set twice":              {set("customers: {file: good.txt}\n  customers: {file: good.txt}"), `line 4: tenantSets has the field "customers" twice`},
		"a large file":             {strings.Repeat("#", maxFile+1), "the file has more than 4 MiB"},
		"several faults":           {with("role: reader", "roll: reader"), "line 3: a caller must have a role or permissions"},
		"a tenant in a wrong role": {with("reader", tenantB), "line 5: unknown role: it must be"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Parse([]byte(test.text), theRules(), all.read)
			if err == nil {
				t.Fatalf("accepted: %+v", f)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is\n%v\nwant %s", err, test.want)
			}
			for _, secret := range []string{tenantA, tenantB[:30], "p4$$", portal} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows %s: %v", secret, err)
				}
			}
		})
	}
}

// A file of tenants is read once, however many sets and callers name it. 10,000 tenants of 20 callers take less than
// 1 MB, and each further caller next to nothing.
func TestTenantsAreShared(t *testing.T) {
	var tenants, callers strings.Builder
	for n := range 10000 {
		fmt.Fprintf(&tenants, "11111111-2222-4333-8444-%012x\n", n)
	}
	for n := range 20 {
		fmt.Fprintf(&callers, "  - {principal: 'spiffe://a/%d', tenants: [set:s%d], role: reader}\n", n, n%2)
	}
	reads := 0
	read := func(string) ([]byte, error) { reads++; return []byte(tenants.String()), nil }
	text := "version: 1\ntenantSets:\n  s0: {file: t}\n  s1: {file: t}\ncallers:\n" + callers.String()
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	theRules()
	const copies = 10
	var all [copies]*File
	before := heap()
	for n := range all {
		var err error
		if all[n], err = Parse([]byte(text), theRules(), read); err != nil {
			t.Fatal(err)
		}
	}
	took := (int64(heap()) - int64(before)) / copies
	t.Logf("10,000 tenants of 20 callers take %d kB", took/1000)
	if took < 160_000 || took > 1_000_000 {
		t.Errorf("10,000 tenants of 20 callers take %d kB, want 160 kB for their bytes and less than 1 MB", took/1000)
	}
	f := all[0]
	if reads != copies || len(f.sets) != 2 {
		t.Errorf("%d files were read, with %d sets, for %d copies", reads, len(f.sets), copies)
	}
	for n := range 20 {
		d := f.Decide(Call{Names: []string{fmt.Sprintf("spiffe://a/%d", n)}, Tenant: "11111111-2222-4333-8444-00000000270F",
			Rule: theRules().named("ServiceAppService/ListServiceApps"), Effects: allowedRead, Now: now})
		if !d.Allowed || !strings.Contains(d.String(), "by line 10000 of t (tenant)") {
			t.Errorf("caller %d: %s", n, d.String())
		}
	}
}

// A file in which nobody can be allowed is of no use, and the reason says what to do.
func TestReachable(t *testing.T) {
	f := mustParse(t, "version: 1\ncallers:\n  - {principal: "+portal+", tenants: ['*'], role: reader, notAfter: 2026-11-26T12:00:00Z}\n", nil)
	for name, test := range map[string]struct {
		certificates bool
		now          time.Time
		want         string
	}{
		"reachable":         {true, now, ""},
		"no client CA":      {false, now, "--tls-client-ca-file"},
		"all have expired":  {true, now.Add(time.Second), "notAfter of all 1 has passed"},
		"expired, and more": {false, now.Add(time.Second), "notAfter of all 1 has passed"},
	} {
		switch err := f.CheckReachable(test.certificates, test.now); {
		case (err == nil) != (test.want == ""), err != nil && !strings.Contains(err.Error(), test.want):
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if err := mustParse(t, example, exampleFiles).CheckReachable(false, now); err != nil {
		t.Errorf("a file with callers by token: %v", err)
	}
}

// No file stops the server, and none allows a caller that is not in it.
func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("version: 1\ncallers:\n  - {principal: a:b, tenants: ['*'], role: admin}\n")
	f.Add("version: 1\nissuers: &a [*a]\ncallers: [{<<: *a}]")
	f.Add("? [a]\n: !!set {a, b}\n---\n...")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse([]byte(text), theRules(), exampleFiles.read)
		if err != nil {
			return
		}
		if d := file.Decide(callOf("spiffe://nobody.example/here", tenantA, "ProtectionPolicyService/ListProtectionPolicies")); d.Allowed {
			t.Errorf("%s: %s", text, d.String())
		}
		if strings.Count(file.List(), "\n") < 2 {
			t.Errorf("an empty list of\n%s", text)
		}
	})
}
