package simulation

// queue is documents that wait, first in, first out.
type queue struct {
	documents []document
	head      int
}

func (q *queue) len() int { return len(q.documents) - q.head }

func (q *queue) push(one document) {
	// Moving the rest to the front only when half of the slice is unused keeps the cost of a document constant.
	if q.head > len(q.documents)/2 {
		q.documents = append(q.documents[:0], q.documents[q.head:]...)
		q.head = 0
	}
	q.documents = append(q.documents, one)
}

func (q *queue) pop() document {
	one := q.documents[q.head]
	q.head++
	return one
}
