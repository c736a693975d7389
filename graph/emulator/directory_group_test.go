package emulator_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestGroupsAreChangedOverHTTP(t *testing.T) {
	w := newWorld(t)
	policy, path := w.mailboxRules()
	w.settled(path, of(group(2)), true)
	r := w.send(http.MethodPost, "/_emulator/groups", map[string]any{
		"tenant": emulator.TenantA, "group": strings.ToUpper(group(2)),
		"add": []string{strings.ToUpper(user(30)), user(12)}, "remove": []string{user(11)},
	}).want(200)
	if got := r.list("members"); len(got) != 10 || got[9] != user(30) || got[0] != user(12) {
		t.Errorf("members %v", got)
	}
	if got, want := w.members(policy), "12 13 14 15 16 17 18 19 20 30"; got != want {
		t.Errorf("the policy has %s, want %s", got, want)
	}
	w.send(http.MethodGet, "/_emulator/groups?group="+group(2), nil).want(200).eq("members.0", user(12))
	w.send(http.MethodGet, "/_emulator/groups?group="+group(9)+"&tenant="+emulator.TenantA, nil).want(200).eq("members.0", user(81))
	// A group that has lost everybody is still a group.
	w.send(http.MethodPost, "/_emulator/groups", map[string]any{"group": group(2), "remove": append(users(12, 20), user(30))}).
		want(200).eq("members", "[]")
	if got := w.members(policy); got != "" {
		t.Errorf("the policy has %s", got)
	}
	w.send(http.MethodPost, "/_emulator/reset", nil).want(200)
	w.send(http.MethodGet, "/_emulator/groups?group="+group(2), nil).want(200).eq("members.0", user(11))
}

func TestChangesOfGroupsAreChecked(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]emulator.GroupChange{
		"a group that does not exist":       {Group: stranger},
		"a group of another tenant":         {Group: emulator.GroupID(emulator.TenantB, 1)},
		"a tenant that is no GUID":          {Tenant: "contoso.com", Group: group(1)},
		"a member that does not exist":      {Group: group(1), Add: []string{stranger}},
		"a member of another tenant":        {Group: group(1), Add: []string{emulator.UserID(emulator.TenantB, 1)}},
		"an unknown member to remove":       {Group: group(1), Remove: []string{stranger}},
		"a group as its own member":         {Group: group(1), Add: []string{group(1)}},
		"a seeded policy's group elsewhere": {Group: emulator.SeededGroupID(emulator.TenantA, emulator.Exchange)},
	} {
		w.unchanged(func() {
			if err := w.e.ChangeGroup(change); err == nil {
				t.Errorf("%s is accepted", name)
			}
			w.send(http.MethodPost, "/_emulator/groups", change).want(400)
		})
	}
	w.send(http.MethodPost, "/_emulator/groups", `{"groups":"x"}`).want(400)
	w.send(http.MethodGet, "/_emulator/groups?group=x", nil).want(400)
	w.send(http.MethodDelete, "/_emulator/groups", nil).want(405)
	w.unchanged(func() { w.change(group(1), users(1, 1), users(30, 30)) }) // nothing to do
	w.change(group(1), users(30, 30), nil)
	if got, err := w.e.GroupMembers("", group(1)); err != nil || len(got) != 11 {
		t.Errorf("%d members, %v", len(got), err)
	}
	if got, err := w.e.GroupMembers(emulator.TenantC, emulator.GroupID(emulator.TenantC, 1)); err != nil || len(got) != 10 {
		t.Errorf("%d members in another tenant, %v", len(got), err)
	}
	if _, err := w.e.GroupMembers("x", group(1)); err == nil {
		t.Error("a tenant that is no GUID is accepted")
	}
}
