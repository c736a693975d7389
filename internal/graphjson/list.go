package graphjson

// The type of a response is a list, or one resource. A list that is read as a resource would be an empty resource, and
// the other way round an empty list: the caller would believe it. So these two refuse the whole body, and so does a
// link to the next page that cannot be read, behind which a list would seem to end.

// StartList notes that the body is a list, whose elements begin here. It refuses a body whose list is no array.
func (c *Cursor) StartList() {
	switch c.at() {
	case '[', 'n':
		c.isList = true
	case '"':
		c.isList = c.pos+1 < len(c.data) && c.data[c.pos+1] == '"'
	}
}

// WantList refuses a body that was no list.
func (c *Cursor) WantList() {
	if !c.isList {
		c.refuse(CauseWrongType, c.pos, "a list expected")
	}
}

// RefuseList refuses a body that is a list, whose elements begin here.
func (c *Cursor) RefuseList() {
	if c.at() == '[' {
		c.refuse(CauseWrongType, c.pos, "a resource expected")
	}
}

// Link reads the link to the next page, empty when there is none.
func (c *Cursor) Link() string {
	if b := c.at(); b != '"' && b != 'n' {
		c.refuse(CauseWrongType, c.pos, "a link expected")
	}
	return c.Text()
}
