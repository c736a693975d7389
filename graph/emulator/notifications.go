package emulator

import (
	"cmp"
	"encoding/json"
	"strings"
)

// notifications are the tenant's settings for mails about backups.
type notifications struct {
	enabled bool
	events  string
	role    string
	custom  []emailIdentity
}

func defaultNotifications() notifications {
	return notifications{enabled: true, events: "none", role: "custom"}
}

type emailIdentity struct {
	Email string `json:"email"`
}

type notificationsView struct {
	IsEnabled  bool           `json:"isEnabled"`
	Events     string         `json:"additionalEvents"`
	Recipients recipientsView `json:"recipients"`
}

type recipientsView struct {
	Role   string          `json:"role"`
	Custom []emailIdentity `json:"customRecipients"`
}

func (n notifications) view() notificationsView {
	v := notificationsView{IsEnabled: n.enabled, Events: n.events, Recipients: recipientsView{Role: n.role, Custom: n.custom}}
	if v.Recipients.Custom == nil {
		v.Recipients.Custom = []emailIdentity{}
	}
	return v
}

func getNotifications(c *call) (*answer, *graphError) {
	return ok(c.tenant.notify.view()), nil
}

type notificationsPatch struct {
	ODataType  json.RawMessage `json:"@odata.type"`
	IsEnabled  *bool           `json:"isEnabled"`
	Events     *string         `json:"additionalEvents"`
	Recipients *struct {
		ODataType json.RawMessage  `json:"@odata.type"`
		Role      *string          `json:"role"`
		Custom    *[]emailIdentity `json:"customRecipients"`
	} `json:"recipients"`
}

func patchNotifications(c *call) (*answer, *graphError) {
	var patch *notificationsPatch
	if err := decodeStrict(c.body, &patch); err != nil || patch == nil {
		return nil, refuse(c.r.Method, codeBadRequest, "The body is not an emailNotificationsSetting.")
	}
	next := c.tenant.notify
	if patch.IsEnabled != nil {
		next.enabled = *patch.IsEnabled
	}
	if patch.Events != nil {
		if !isFlags(*patch.Events, "none", "restoreAndPolicyUpdates") {
			return nil, refuse(c.r.Method, codeBadRequest, "additionalEvents has an unknown member.").about("additionalEvents")
		}
		next.events = *patch.Events
	}
	if r := patch.Recipients; r != nil {
		if r.Role != nil {
			if !isFlags(*r.Role, "none", "globalAdmins", "backupAdmins", "custom", "allAdmins") {
				return nil, refuse(c.r.Method, codeBadRequest, "recipients.role has an unknown member.").about("role")
			}
			if *r.Role != next.role && c.tenant.service.consumer == "thirdparty" {
				return nil, refuse(c.r.Method, codeBadRequest, "recipients.role is read-only where a third party controls the backups.").about("role")
			}
			next.role = *r.Role
		}
		if r.Custom != nil {
			for _, to := range *r.Custom {
				if !isAddress(to.Email) {
					return nil, refuse(c.r.Method, codeBadRequest, "A custom recipient has no valid email.").about(cmp.Or(to.Email, "customRecipients"))
				}
			}
			next.custom = *r.Custom
		}
	}
	if len(next.custom) > 0 && !hasFlag(next.role, "custom") {
		if patch.Recipients != nil && patch.Recipients.Custom != nil {
			return nil, refuse(c.r.Method, codeBadRequest, "customRecipients need the role custom.").about("role")
		}
		next.custom = nil // the role turned away from custom: its recipients go
	}
	c.tenant.notify = next
	c.tenant.record(c.cause(), "emailNotificationsSetting", c.tenant.id, "", "updated", 1)
	return ok(next.view()), nil
}

// isFlags tells whether value is one or more of the members, comma-separated.
func isFlags(value string, members ...string) bool {
	for flag := range strings.SplitSeq(value, ",") {
		known := false
		for _, m := range members {
			known = known || m == strings.TrimSpace(flag)
		}
		if !known {
			return false
		}
	}
	return true
}

func hasFlag(value, member string) bool {
	for flag := range strings.SplitSeq(value, ",") {
		if strings.TrimSpace(flag) == member {
			return true
		}
	}
	return false
}
