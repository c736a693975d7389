package emulator

import (
	"net/http"
	"strings"
	"time"
)

// demoAge is how long the company of the demo has backed up.
const demoAge = 30 * day

// The people of the demo, by their numbers.
const (
	demoMarta = 1 + iota
	demoTomasz
	demoAiko
	demoPriya
	demoSamuel
	demoElena
	demoJonas
	demoFatima
	demoLucas
	demoGrace
	demoDiego
	demoHanna
	demoReception
	demoNoah
)

// demoAdmin is who looks after the backups.
const demoAdmin = demoPriya

const (
	demoDomain = "lindenhof.example"
	demoHost   = "https://lindenhof.sharepoint.example/sites/"
)

// demoSeed is the company at the beginning of the story: architects, with two buildings under way.
func demoSeed(tenant string, start time.Time) Seed {
	person := func(name, job string) Person {
		return Person{Mail: strings.ToLower(strings.ReplaceAll(name, " ", ".")) + "@" + demoDomain, DisplayName: name, JobTitle: job}
	}
	people := []Person{
		person("Marta Lindqvist", "Managing Partner"), person("Tomasz Zielinski", "Partner"),
		person("Aiko Tanaka", "Project Architect"), person("Priya Raman", "IT Administrator"),
		person("Samuel Okafor", "Accountant"), person("Elena Petrova", "Project Architect"),
		person("Jonas Weber", "Structural Engineer"), person("Fatima Haddad", "Interior Designer"),
		person("Lucas Moreau", "Draughtsman"), person("Grace Kim", "Office Manager"),
		person("Diego Alvarez", "Site Manager"), person("Hanna Virtanen", "Project Architect"),
		person("Reception Desk", ""), person("Noah Schneider", "Intern"),
	}
	people[demoSamuel-1].OverQuota = true
	people[demoJonas-1].RestoreTakes = Duration(2 * day) // a drive full of models
	people[demoDiego-1].PreservationLock = true
	people[demoHanna-1].RestoreFails = true
	people[demoReception-1].Licensed = new(bool)
	mail := func(n int) string { return people[n-1].Mail }
	seed := Seed{
		Tenant: tenant, ServiceStatus: serviceEnabled, People: people,
		OwnSites: []Site{
			{Name: "Riverside Library", URL: demoHost + "riverside-library"},
			{Name: "Town Hall Renovation", URL: demoHost + "town-hall-renovation"},
			{Name: "Templates and Standards", URL: demoHost + "templates"},
			{Name: "Company Handbook", URL: demoHost + "handbook"},
		},
		OwnGroups: []Group{
			{DisplayName: "Partners", Members: []string{mail(demoMarta), mail(demoTomasz)}},
			{DisplayName: "Project Architects", Members: []string{mail(demoAiko), mail(demoElena), mail(demoHanna)}},
			{DisplayName: "Riverside Team", Members: []string{"Project Architects", mail(demoJonas), mail(demoLucas)}},
			{DisplayName: "Office", Members: []string{mail(demoPriya), mail(demoSamuel), mail(demoGrace)}},
		},
		Apps: nil, // any application may ask for a token
	}
	demoContent(&seed, start, mail)
	return seed
}

// demoContent is what lies in mailboxes, drives and sites, and comes in during the month.
func demoContent(seed *Seed, start time.Time, mail func(int) string) {
	message := func(to, days int, from, subject string, attachment bool, deletedAfter int) {
		m := Message{User: mail(to), Sender: from, Subject: subject, HasAttachment: attachment, Received: start.Add(time.Duration(days) * day)}
		if deletedAfter > 0 {
			m.Deleted = m.Received.Add(time.Duration(deletedAfter) * day)
		}
		seed.Messages = append(seed.Messages, m)
	}
	for n := demoMarta; n <= demoHanna; n++ {
		message(n, -20, mail(demoPriya), "Welcome to the new backup", false, 0)
		message(n, 2, mail(demoGrace), "Summer party on the 14th", false, 3)
		message(n, 9, "news@bauwelt.example", "This week in architecture", false, 1)
	}
	message(demoMarta, 5, "clerk@riverside-council.example", "Riverside Library: signed contract", true, 12)
	message(demoMarta, 18, mail(demoSamuel), "Figures of the second quarter", true, 0)
	message(demoSamuel, 6, "billing@steelworks.example", "Invoice 2210 for girders", true, 15)
	message(demoSamuel, 13, "billing@steelworks.example", "Reminder: invoice 2210", true, 0)
	message(demoAiko, 11, mail(demoJonas), "Load calculation of the reading room", true, 0)
	message(demoElena, 16, "planning@town.example", "Town Hall: permit for the roof", true, 7)
	message(demoGrace, 4, mail(demoLucas), "My last day is the 14th", false, 0)

	file := func(object, path string, size int64, days int) {
		seed.Files = append(seed.Files, File{Object: object, Path: path, Size: size, Created: start.Add(time.Duration(days) * day)})
	}
	const library = "Shared Documents/"
	riverside, town := seed.OwnSites[0].URL, seed.OwnSites[1].URL
	for _, floor := range []string{"Basement", "Ground floor", "First floor", "Roof"} {
		file(riverside, library+"Plans/"+floor+".dwg", 18_400_000, -200)
		file(town, library+"Survey/"+floor+".pdf", 6_100_000, -90)
	}
	file(riverside, library+"Contract.docx", 88_000, -150)
	file(riverside, library+"Minutes/Kick-off.docx", 31_000, -140)
	file(riverside, library+"Minutes/Reading room.docx", 29_500, 12)
	file(town, library+"Permit application.pdf", 940_000, 15)
	file(seed.OwnSites[2].URL, library+"Letter.dotx", 24_000, -400)
	file(seed.OwnSites[2].URL, library+"Drawing frame.dwg", 310_000, -400)
	file(seed.OwnSites[3].URL, library+"Holidays.xlsx", 17_000, -300)
	file(mail(demoMarta), "Documents/Offers/Harbour Baths.docx", 64_000, -40)
	file(mail(demoSamuel), "Documents/Accounts/Quarter 2.xlsx", 210_000, 17)
	file(mail(demoSamuel), "Documents/Accounts/Quarter 1.xlsx", 198_000, -60)
	file(mail(demoJonas), "Documents/Models/Reading room.ifc", 740_000_000, 10)
	file(mail(demoJonas), "Documents/Models/Roof truss.ifc", 512_000_000, -25)
	file(mail(demoLucas), "Documents/Handover/Open drawings.xlsx", 44_000, 12)
	file(mail(demoGrace), "Documents/Summer party/Guests.xlsx", 12_000, 3)
}

// demoStory is the month.
func demoStory(s *story) {
	mail := s.make("/exchangeProtectionPolicies", map[string]any{
		"displayName": "Mail of the office",
		"mailboxProtectionUnits": s.units(Exchange, demoMarta, demoTomasz, demoPriya, demoSamuel, demoJonas, demoFatima,
			demoLucas, demoGrace, demoDiego),
	})
	drives := s.make("/oneDriveForBusinessProtectionPolicies", map[string]any{
		"displayName":          "Drives of the office",
		"driveProtectionUnits": s.units(OneDrive, demoMarta, demoSamuel, demoJonas, demoLucas, demoGrace, demoHanna),
	})
	sites := s.make("/sharePointProtectionPolicies", map[string]any{
		"displayName": "Project sites", "siteProtectionUnits": s.units(SharePoint, 1, 2, 3),
	})
	for _, policy := range []string{mail, drives, sites} {
		s.do(http.MethodPost, "/protectionPolicies/"+policy+"/activate", nil)
	}

	s.at(time.Hour)
	architects := s.t.dir.group(2).id
	s.make("/exchangeProtectionPolicies/"+mail+"/mailboxInclusionRules", map[string]any{
		"mailboxExpression": "(memberOf -any (group.id -in ['" + architects + "']))", "isAutoApplyEnabled": true,
	})

	// A list from the accounts, with an address that was mistyped and a mailbox that is none.
	s.at(1 * day)
	s.make("/oneDriveForBusinessProtectionPolicies/"+drives+"/driveProtectionUnitsBulkAdditionJobs", map[string]any{
		"displayName": "Everybody on the payroll",
		"drives": []string{
			s.t.dir.user(demoAiko).mail, s.t.dir.user(demoElena).mail, s.t.dir.user(demoFatima).mail,
			"diego.alvares@" + demoDomain, s.t.dir.user(demoReception).mail,
		},
	})

	// Grace deleted the wrong folder.
	s.at(10 * day)
	s.restore("/exchangeRestoreSessions", "mailboxRestoreArtifacts", s.artifacts(Exchange, "new", demoGrace))

	// Lucas leaves. His mailbox and drive go out of the policies; what is backed up stays.
	s.at(14 * day)
	s.leave(mail, drives, demoLucas)

	// After a bad update three mailboxes go back to yesterday: one restore fails, one is locked, one succeeds.
	s.at(20 * day)
	s.restore("/exchangeRestoreSessions", "mailboxRestoreArtifacts",
		s.artifacts(Exchange, "inPlace", demoMarta, demoDiego, demoHanna))

	// The drive of Lucas is no longer needed. It is on its way out, for three months.
	s.at(28 * day)
	s.do(http.MethodPost, "/protectionUnits/"+UnitID(s.t.id, OneDrive, demoLucas)+"/offboard", nil)

	// This morning Jonas lost his models.
	s.at(demoAge - 2*time.Hour)
	s.restore("/oneDriveForBusinessRestoreSessions", "driveRestoreArtifacts", s.artifacts(OneDrive, "new", demoJonas, demoAiko))
	s.at(demoAge - time.Hour)
	s.make("/sharePointRestoreSessions", map[string]any{"siteRestoreArtifacts": s.artifacts(SharePoint, "new", 2)})
}

// restore makes a session and starts it.
func (s *story) restore(sessions, property string, artifacts []any) {
	id := s.make(sessions, map[string]any{property: artifacts})
	s.do(http.MethodPost, "/restoreSessions/"+id+"/activate", nil)
}

// leave takes somebody out of the policies, and an hour later out of the directory.
func (s *story) leave(mail, drives string, number int) {
	for _, from := range []struct {
		path, property string
		w              Workload
	}{
		{"/exchangeProtectionPolicies/" + mail, "mailboxProtectionUnits@delta", Exchange},
		{"/oneDriveForBusinessProtectionPolicies/" + drives, "driveProtectionUnits@delta", OneDrive},
	} {
		s.do(http.MethodPatch, from.path, map[string]any{from.property: []any{
			map[string]any{"@removed": map[string]any{"reason": "changed"}, "id": UnitID(s.t.id, from.w, number)},
		}})
	}
	s.at(s.t.now().Sub(s.t.born) + time.Hour)
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if err := s.t.deleteUser(s.t.dir.user(number).id, cause{at: s.t.now()}); err != nil {
		panic("emulator: own story: " + err.Error())
	}
}
