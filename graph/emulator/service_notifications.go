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

// notificationsPatch is a body, with nil for what it does not have.
type notificationsPatch struct {
	IsEnabled  *bool
	Events     *string
	Recipients *recipientsPatch
}

type recipientsPatch struct {
	Role   *string
	Custom *[]emailIdentity
}

// readNotifications reports false for a body of another shape.
func readNotifications(body []byte) (patch notificationsPatch, ok bool) {
	var inner map[string]json.RawMessage
	fields, ok := readObject(body)
	if !ok || unknownField(fields, "isEnabled", "additionalEvents", "recipients") != "" ||
		!readField(fields, "isEnabled", &patch.IsEnabled) || !readField(fields, "additionalEvents", &patch.Events) ||
		!readField(fields, "recipients", &inner) {
		return patch, false
	}
	if inner == nil {
		return patch, true
	}
	patch.Recipients = &recipientsPatch{}
	var custom []map[string]json.RawMessage
	if unknownField(inner, "role", "customRecipients") != "" ||
		!readField(inner, "role", &patch.Recipients.Role) || !readField(inner, "customRecipients", &custom) {
		return patch, false
	}
	if custom == nil {
		return patch, true
	}
	to := make([]emailIdentity, len(custom))
	for i, one := range custom {
		if unknownField(one, "email") != "" || !readField(one, "email", &to[i].Email) {
			return patch, false
		}
	}
	patch.Recipients.Custom = &to
	return patch, true
}

func patchNotifications(c *call) (*answer, *graphError) {
	patch, isPatch := readNotifications(c.body)
	if !isPatch {
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
